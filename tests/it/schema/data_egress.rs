//! Data egress that the database's owner configured.

use skillkeep::db::isolation_checks;

use super::findings;
use crate::command::{CommandOutput, program_as};
use crate::harness::TestDb;

/// An owner may want copies of the rows elsewhere, so the server starts; `skillkeep doctor` reports it.
#[tokio::test(flavor = "multi_thread")]
async fn data_egress_is_reported_by_doctor_and_does_not_block_serving() {
    for (change, cleanup, named) in [
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
        superuser.batch_execute(change).await.unwrap();
        let server = isolation_checks::check_server(&db.server).await;
        let egress = isolation_checks::check_data_egress(&db.admin).await;
        let ran = CommandOutput::of(&mut program_as("skillkeep_admin", &db, &["doctor", "--quick"]));
        superuser.batch_execute(cleanup).await.unwrap();
        assert_eq!(findings(&server.unwrap()), Vec::<String>::new(), "{change}");
        let egress = findings(&[egress.unwrap()]);
        assert!(
            egress.iter().any(|finding| finding.contains(named)),
            "{egress:?}"
        );
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.out.contains(named), "{ran:?}");
    }
}
