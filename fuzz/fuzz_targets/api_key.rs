//! Parses arbitrary text as an API key. An accepted key round-trips exactly, and its `Debug` output hides it.

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
        let again: ApiKey = key.reveal().parse().expect("an accepted key is accepted again");
        assert_eq!(again.claimed_tenant(), key.claimed_tenant());
        // Every single-character error is detected.
        for at in [6, 27, 28, 59, 60, 65] {
            let mut wrong = text.to_owned();
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            wrong.replace_range(at..=at, other);
            assert!(wrong.parse::<ApiKey>().is_err());
        }
    }
    // A tenant id of any bits round-trips.
    let mut bits = [0_u8; 16];
    for (bit, byte) in bits.iter_mut().zip(text.bytes()) {
        *bit = byte;
    }
    let tenant = TenantId::from_uuid(uuid::Uuid::from_bytes(bits));
    let key = ApiKey::generate(tenant, &mut rand::rng());
    assert_eq!(
        key.reveal()
            .parse::<ApiKey>()
            .expect("a generated key is valid")
            .claimed_tenant(),
        tenant
    );
});
