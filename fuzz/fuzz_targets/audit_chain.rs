//! Exported audit logs and signed heads that somebody made up, or changed.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use skillkeep::ids::{Digest, TenantId};
use skillkeep::registry::audit::{Chain, SignedCheckpoint, SigningKey, check_lines};

struct Auditor {
    public_key: String,
    head: SignedCheckpoint,
}

fuzz_target!(|text: &str| {
    static AUDITOR: OnceLock<Auditor> = OnceLock::new();
    let auditor = AUDITOR.get_or_init(|| {
        let pem = SigningKey::generate().expect("randomness");
        let key = SigningKey::from_pem(&pem).expect("our own key");
        let tenant = TenantId::new();
        Auditor {
            public_key: key.public_key(),
            head: SignedCheckpoint::sign(tenant, &Chain::new(tenant), Digest::of(b"file"), &key),
        }
    });
    if let Ok(Some(chain)) = check_lines(text) {
        // As many entries as lines, and none of them can go.
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(i64::try_from(lines.len()), Ok(chain.entries()));
        if lines.len() > 1 {
            assert!(check_lines(&lines[1..].join("\n")).is_err(), "the first is gone");
        }
    }
    let _ = SigningKey::from_pem(text);
    assert!(auditor.head.check(text).is_err() || text.trim() == auditor.public_key);
    let mut changed = auditor.head.clone();
    changed.signature = text.to_owned();
    assert!(changed.check(&auditor.public_key).is_err() || text == auditor.head.signature);
    if let Ok(head) = serde_json::from_str::<SignedCheckpoint>(text) {
        assert!(head.check(&auditor.public_key).is_err(), "nobody else has the key");
    }
});
