//! What EXPLAIN tells somebody who runs SQL as the server's role.

use super::{Intruder, two};
use crate::harness::TestDb;

/// The rows that a plan really met. The planner's estimates, and which of two plans it takes for cheaper because of them, do
/// tell something: see the known limits in SECURITY.md.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_met_is_the_same_for_what_is_anothers_and_for_nothing() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = two(&db).await;
    let superuser = db.superuser().await;
    // With thousands of its own the intruder's estimates are fine enough to tell something.
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
    let intruder = Intruder::at(&db).await;
    for (condition, foreign, absent) in [
        ("slug = 'WORD'", "only-other_tenant", "only-nobody"),
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
            let with_theirs = intruder
                .learn(mine, &explain(foreign))
                .await
                .replace(foreign, "WORD");
            let with_nothing = intruder
                .learn(mine, &explain(absent))
                .await
                .replace(absent, "WORD");
            assert!(with_theirs.contains("actual rows"), "{with_theirs}");
            assert_eq!(with_theirs, with_nothing, "{select} {condition}");
        }
    }
}
