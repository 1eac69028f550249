//! Texts that somebody passes off as an API key. Whatever is taken is written as it was read, and is never shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skillkeep::ids::TenantId;
use skillkeep::tenancy::{ApiKey, PREFIX};

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<ApiKey>() {
        assert_eq!(key.reveal(), text);
        assert_eq!(text.len(), 66);
        assert!(text.starts_with(PREFIX));
        assert_eq!(format!("{key:?}"), "ApiKey(hidden)");
        let again: ApiKey = key.reveal().parse().expect("what was taken once is taken again");
        assert_eq!(again.claimed_tenant(), key.claimed_tenant());
        // A single typing error in it is found.
        for at in [6, 27, 28, 59, 60, 65] {
            let mut wrong = text.to_owned();
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            wrong.replace_range(at..=at, other);
            assert!(wrong.parse::<ApiKey>().is_err());
        }
    }
    // A tenant of any bits reads back.
    let mut bits = [0_u8; 16];
    for (bit, byte) in bits.iter_mut().zip(text.bytes()) {
        *bit = byte;
    }
    let tenant = TenantId::from_uuid(uuid::Uuid::from_bytes(bits));
    let key = ApiKey::generate(tenant, &mut rand::rng());
    assert_eq!(key.reveal().parse::<ApiKey>().expect("our own").claimed_tenant(), tenant);
});
