//! `skillkeep quickstart` on a database that is not its own.

use crate::command::ended;
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn quickstart_with_own_database_is_refused_before_it_writes() {
    let db = TestDb::new().await;
    let rows = "SELECT (SELECT count(*) FROM skills) + (SELECT count(*) FROM users) + (SELECT count(*) FROM api_keys)
                + (SELECT count(*) FROM audit_logs)";
    let before: i64 = db.value(rows).await;
    let ran = ended(&db, &["quickstart"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("nothing was changed"), "{ran:?}");
    assert_eq!(db.value::<i64>(rows).await, before);
}
