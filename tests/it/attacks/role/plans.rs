//! What EXPLAIN reveals to an attacker who runs SQL in the server's role.

use super::{SqlAttacker, two_tenants};
use crate::harness::TestDb;

/// Compares the actual rows of a plan. The planner's estimates, and its choice of a plan because of them, do reveal something: see
/// the known limits in SECURITY.md.
#[tokio::test(flavor = "multi_thread")]
async fn plan_is_equal_for_existing_and_missing_values() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = two_tenants(&db).await;
    let superuser = db.superuser().await;
    // With thousands of own rows the attacker's estimates are precise enough to reveal something.
    for (tenant, word, count) in [(other_tenant, "xylophone", 5000), (mine, "mine", 3000)] {
        let many = format!(
            "SET app.current_tenant_id = '{tenant}';
             INSERT INTO skills (tenant_id, id, slug, name, description, category, tags, conformant, revision)
             SELECT current_tenant_id(), gen_random_uuid(), '{word}-' || n, '{word}', '{word}', '{word}', '{{{word}}}',
                    true, 1000 + n FROM generate_series(1, {count}) n;
             ANALYZE skills"
        );
        superuser.batch_execute(&many).await.unwrap();
    }
    let attacker = SqlAttacker::connect(&db).await;
    for (condition, existing, missing) in [
        ("slug = 'WORD'", "only-victim", "only-nobody"),
        ("slug = 'WORD'", "xylophone-17", "violoncel-17"),
        ("slug COLLATE \"C\" >= 'WORD'", "xylophone-17", "violoncel-17"),
        ("slug LIKE 'WORD%'", "xylo", "viol"),
        ("name = 'WORD'", "xylophone", "violoncel"),
        ("category = 'WORD'", "xylophone", "violoncel"),
        ("tags @> '{WORD}'", "xylophone", "violoncel"),
        ("description ~ 'WORD'", "xylophone", "violoncel"),
        ("revision = WORD", "5017", "9017"),
    ] {
        for select in ["slug", "count(*)"] {
            let explain = |word: &str| {
                let condition = condition.replace("WORD", word);
                format!(
                    "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT {select} FROM (SELECT slug FROM skills WHERE {condition}) s"
                )
            };
            let for_existing = attacker
                .execute(mine, &explain(existing))
                .await
                .replace(existing, "WORD");
            let for_missing = attacker
                .execute(mine, &explain(missing))
                .await
                .replace(missing, "WORD");
            assert!(for_existing.contains("actual rows"), "{for_existing}");
            assert_eq!(for_existing, for_missing, "{select} {condition}");
        }
    }
}
