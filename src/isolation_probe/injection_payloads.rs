//! Texts that break out of a statement, a pattern, a query of words or a path, wherever one of these is put together badly.

/// Each with `{}` where the name goes that it asks for.
pub(super) const INJECTION_PAYLOADS: [&str; 24] = [
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
