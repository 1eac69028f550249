//! Payloads that break out of a badly composed SQL statement, pattern, text query or path.

use crate::isolation_probe::test_tenant::{Identifier, MISSING_SKILL, VICTIM_SKILL};

/// `{}` stands for the name to look for.
const INJECTION_PAYLOADS: [&str; 24] = [
    "{}' OR tenant_id <> current_tenant_id() --",
    "' OR '1'='1",
    "{}'; SET app.current_tenant_id = '{}'; --",
    "'; RESET ROLE; SELECT '{}",
    "') UNION SELECT slug, name FROM tenants --",
    "$$ || (SELECT string_agg(slug, ',') FROM skills) || $$",
    "\\'; SELECT pg_sleep(10); --",
    "{}\" OR \"\"=\"",
    "$1",
    "%",
    "_%",
    "only-%",
    "{}%' ESCAPE '\\",
    ".*",
    "^only-[a-z]+$",
    "{} | !x",
    "only:*",
    "!!{} & ('",
    "{}:ABCD <-> x",
    "only-*",
    "../{}",
    "{}/../../SKILL.md",
    "skill://shared/1/../../{}/1/{}/SKILL.md",
    "\u{202e}{}\u{feff}",
];

/// The kind of the identifiers of [`injection_identifiers`].
pub(super) const INJECTION: &str = "an injection payload";

/// The payloads with the victim's skill, each beside the same payload with a missing one.
pub(super) fn injection_identifiers() -> impl Iterator<Item = Identifier> {
    INJECTION_PAYLOADS.iter().map(|payload| Identifier {
        kind: INJECTION,
        existing: payload.replace("{}", VICTIM_SKILL),
        missing: payload.replace("{}", MISSING_SKILL),
    })
}
