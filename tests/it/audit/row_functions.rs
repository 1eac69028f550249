//! The command line changes tenants, users and API keys only through the functions that also write the audit entry.

use std::path::Path;

/// Functions that change rows and write no audit entry, and the writing of entries itself: both belong to
/// `registry::administration`.
const FORBIDDEN: [&str; 14] = [
    "audit::write",
    "audit::Entry",
    "api_keys::create(",
    "api_keys::revoke(",
    "api_keys::rotate(",
    "api_keys::set_call_limits(",
    "users::find_or_create(",
    "users::set_status(",
    "tenants::create(",
    "tenants::set_status(",
    "tenants::update(",
    "tenants::erase(",
    "usage/prune_batch.sql",
    "usage/prune_detach.sql",
];

#[test]
fn command_line_changes_rows_through_administration_only() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for forbidden in FORBIDDEN {
            let through_administration = format!("administration::{forbidden}");
            let calls = text.matches(forbidden).count() - text.matches(&through_administration).count();
            assert_eq!(calls, 0, "{}: {forbidden}", file.display());
        }
    }
}
