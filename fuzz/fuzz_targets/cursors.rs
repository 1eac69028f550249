//! Reads forged cursors. Only a cursor that was signed for the same list and tenant is accepted.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use skillkeep::ids::{ApiKeyId, TenantId, UserId};
use skillkeep::registry::cursor;
use skillkeep::tenancy::{CallLimits, CursorSecret, Principal, Scope, Scopes, SearchText};

fn principal(secret: u8) -> Principal {
    Principal {
        tenant: TenantId::new(),
        tenant_slug: "fuzz".to_owned(),
        tenant_name: "Fuzz".to_owned(),
        api_key: ApiKeyId::new(),
        api_key_name: "fuzz".to_owned(),
        expires_at: None,
        user: UserId::new(),
        email: "fuzz@example.com".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: None,
        api_key_limits: CallLimits::default(),
        tenant_limits: CallLimits::default(),
        search_text: SearchText::Kept,
        catalog_revision: 0,
        cursor_secret: CursorSecret::from_bytes(&[secret; 32]),
    }
}

fuzz_target!(|input: (&str, &str)| {
    static PRINCIPALS: OnceLock<[Principal; 2]> = OnceLock::new();
    let [one, other] = PRINCIPALS.get_or_init(|| [principal(1), principal(2)]);
    let (list, text) = input;
    if let Ok(position) = cursor::read(one, list, text) {
        // Its signature is valid, so it must equal the cursor that `write` produces.
        assert_eq!(cursor::write(one, list, &position), text);
    }
    let written = cursor::write(one, list, text);
    if written.len() <= cursor::MAX_CURSOR_CHARS {
        assert_eq!(cursor::read(one, list, &written).as_deref(), Ok(text));
    }
    assert!(
        cursor::read(other, list, &written).is_err(),
        "a cursor of another tenant"
    );
    assert!(
        cursor::read(one, &format!("{list}x"), &written).is_err(),
        "a cursor of another list"
    );
});
