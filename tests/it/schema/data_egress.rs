//! What the database's owner lets out of it, or in.

use skillkeep::db::isolation_checks;

use super::findings;
use crate::command::{CommandOutput, program_as};
use crate::harness::TestDb;

/// An owner may want copies of the rows elsewhere. The server serves all the same, and the doctor tells.
#[tokio::test(flavor = "multi_thread")]
async fn what_lets_rows_out_is_told_by_the_doctor_and_no_reason_not_to_serve() {
    for (way, rollback_to_savepoint, named) in [
        (
            "CREATE PUBLICATION sent FOR TABLE skills",
            "",
            "sent is a publication",
        ),
        (
            "CREATE PUBLICATION sent FOR ALL TABLES",
            "",
            "sent is a publication",
        ),
        (
            "CREATE PUBLICATION sent FOR TABLES IN SCHEMA public",
            "",
            "sent is a publication",
        ),
        (
            "CREATE SCHEMA ours; CREATE FUNCTION ours.heard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             CREATE EVENT TRIGGER heard ON ddl_command_end EXECUTE FUNCTION ours.heard()",
            "",
            "heard is an event trigger",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing",
            "",
            "away is a foreign server",
        ),
        (
            "CREATE SUBSCRIPTION heard CONNECTION 'dbname=nowhere' PUBLICATION sent WITH (connect = false, slot_name = NONE)",
            // A database that has one cannot be dropped.
            "DROP SUBSCRIPTION heard",
            "heard is a subscription",
        ),
    ] {
        let db = TestDb::new().await;
        let superuser = db.superuser().await;
        superuser.batch_execute(way).await.unwrap();
        let served = isolation_checks::check_server(&db.server).await;
        let told = isolation_checks::check_outgoing(&db.admin).await;
        let ran = CommandOutput::of(&mut program_as("skillkeep_admin", &db, &["doctor", "--quick"]));
        superuser.batch_execute(rollback_to_savepoint).await.unwrap();
        assert_eq!(findings(&served.unwrap()), Vec::<String>::new(), "{way}");
        let told = findings(&[told.unwrap()]);
        assert!(told.iter().any(|finding| finding.contains(named)), "{told:?}");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains(named), "{ran:?}");
    }
}
