//! Two imports into one tenant at once.

use std::time::Duration;

use crate::command::{CommandOutput, program_as};
use crate::harness::TestDb;
use crate::import::{put, skill_md};

#[tokio::test(flavor = "multi_thread")]
async fn second_import_into_a_tenant_waits_for_the_first() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    for name in ["tide-tables", "knots", "charts"] {
        put(root.path(), &format!("{name}/SKILL.md"), skill_md(name, "Ships."));
    }
    // A dry run that takes longer than a statement may wait, as its first skill is stored.
    let mut held = db.superuser().await;
    let held = held.transaction().await.unwrap();
    let lock = format!("skillkeep.import:{tenant}");
    let query = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    held.execute(query, &[&lock]).await.unwrap();
    let path = root.path().to_str().unwrap();
    let arguments = ["import", path, "--tenant", "acme", "--json"];
    let running: Vec<_> = (0..2)
        .map(|_| program_as("skillkeep_admin", &db, &arguments).spawn().unwrap())
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stored: i64 = db.value("SELECT count(*) FROM skills").await;
    assert_eq!(stored, 0);
    held.rollback().await.unwrap();
    let mut outcomes = Vec::new();
    for child in running {
        let ran = CommandOutput::end(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.err.contains("Another import into acme is running"),
            "{}",
            ran.err
        );
        outcomes.extend(ran.json_lines().iter().map(|line| line["outcome"].to_string()));
    }
    outcomes.sort();
    let expected = [["\"created\""; 3], ["\"unchanged\""; 3]].concat();
    assert_eq!(outcomes, expected);
}
