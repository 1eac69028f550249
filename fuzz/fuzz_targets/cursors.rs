//! Cursors that somebody made up. Only what was signed for this very list and tenant is taken.

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
        key_allowance: CallLimits::default(),
        tenant_allowance: CallLimits::default(),
        search_text: SearchText::Kept,
        catalog_revision: 0,
        cursor_secret: CursorSecret::from_bytes(&[secret; 32]),
    }
}

fuzz_target!(|input: (&str, &str)| {
    static PRINCIPALS: OnceLock<[Principal; 2]> = OnceLock::new();
    let [mine, theirs] = PRINCIPALS.get_or_init(|| [principal(1), principal(2)]);
    let (list, text) = input;
    if let Ok(place) = cursor::read(mine, list, text) {
        // Only its own signature could have made it so; then it is spelled as ours are.
        assert_eq!(cursor::write(mine, list, &place), text);
    }
    let written = cursor::write(mine, list, text);
    if written.len() <= cursor::MAX_CURSOR_CHARS {
        assert_eq!(cursor::read(mine, list, &written).as_deref(), Ok(text));
    }
    assert!(cursor::read(theirs, list, &written).is_err(), "of another tenant");
    assert!(cursor::read(mine, &format!("{list}x"), &written).is_err(), "of another list");
});
