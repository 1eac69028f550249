//! Verifies forged and modified audit log exports and signed checkpoints.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use skillkeep::ids::{Digest, TenantId};
use skillkeep::registry::audit::{Chain, SignedCheckpoint, SigningKey, check_lines};

struct Fixture {
    public_key: String,
    checkpoint: SignedCheckpoint,
}

fuzz_target!(|text: &str| {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(|| {
        let pem = SigningKey::generate().expect("randomness");
        let key = SigningKey::from_pem(&pem).expect("a generated key is valid");
        let tenant = TenantId::new();
        Fixture {
            public_key: key.public_key(),
            checkpoint: SignedCheckpoint::sign(tenant, &Chain::new(tenant), Digest::of(b"file"), &key),
        }
    });
    if let Ok(Some(chain)) = check_lines(text) {
        // Each line is an entry, and the first one cannot be removed.
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(i64::try_from(lines.len()), Ok(chain.entries()));
        if lines.len() > 1 {
            assert!(
                check_lines(&lines[1..].join("\n")).is_err(),
                "the first entry is missing"
            );
        }
    }
    let _ = SigningKey::from_pem(text);
    assert!(fixture.checkpoint.check(text).is_err() || text.trim() == fixture.public_key);
    let mut changed = fixture.checkpoint.clone();
    changed.signature = text.to_owned();
    assert!(changed.check(&fixture.public_key).is_err() || text == fixture.checkpoint.signature);
    if let Ok(checkpoint) = serde_json::from_str::<SignedCheckpoint>(text) {
        assert!(
            checkpoint.check(&fixture.public_key).is_err(),
            "only the fixture has the key"
        );
    }
});
