//! `skillkeep doctor`.

use serde_json::Value;

use super::assert_fails;
use crate::command::{CommandOutput, admin, ended, program_as};
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_server_reject_a_missing_isolation_policy() {
    let db = TestDb::new().await;
    let tenants = "SELECT count(*) FROM tenants";
    let before: i64 = db.value(tenants).await;
    let healthy = admin(&db, &["doctor", "--json"]).json();
    assert_eq!(healthy["passed"], true, "{healthy}");
    let names = healthy["checks"].to_string();
    assert!(names.contains("attacks by one tenant on another"), "{names}");
    for target in ["get_skill", "skills/list", "subscriptions/listen"] {
        let tally = &healthy["attacks"][target];
        assert!(tally["attacks"].as_u64().unwrap() >= 40, "{target}: {tally}");
        assert_eq!(tally["reached"], tally["attacks"], "{target}");
        assert_eq!(tally["refused"], tally["attacks"], "{target}");
    }
    let quick = admin(&db, &["doctor", "--quick", "--json"]).json();
    assert_eq!(quick["passed"], true, "{quick}");
    assert_eq!(quick["attacks"], serde_json::json!({}));
    assert!(!quick["checks"].to_string().contains("attacks"), "{quick}");
    assert_eq!(
        db.value::<i64>(tenants).await,
        before,
        "the tenants of the probe are rolled back"
    );
    db.superuser()
        .await
        .batch_execute("DROP POLICY tenant_isolation ON skills")
        .await
        .unwrap();
    let ran = ended(&db, &["doctor", "--quick"]);
    assert_fails(&ran, 1, "do not serve tenants");
    assert!(
        ran.out
            .contains("the table skills lacks the policy tenant_isolation"),
        "{}",
        ran.out
    );
    let served = CommandOutput::of(&mut program_as(
        "skillkeep_app",
        &db,
        &["serve", "--listen", "127.0.0.1:0"],
    ));
    assert_fails(&served, 4, "the table skills lacks the policy tenant_isolation");
}

/// Also if the attacks or the comparison of the search index cannot be completed.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_weakened_policy_as_text_and_json() {
    for (is_json, weakening, found_by_checks, found_by_attacks) in [
        (
            false,
            "ALTER POLICY tenant_isolation ON ratings USING (true) WITH CHECK (true);
             ALTER POLICY tenant_access ON ratings USING (true) WITH CHECK (true)",
            "the table ratings lacks the policy tenant_isolation",
            "ratings lets a tenant delete another's rows",
        ),
        (
            true,
            "DROP POLICY tenant_access ON skills",
            "the table skills lacks the policy tenant_access",
            "the isolation probe could not finish",
        ),
    ] {
        let db = TestDb::new().await;
        let acme = db.tenant("acme").await;
        db.skill(acme, "tides", "Reads tide tables.", &[]).await;
        let superuser = db.superuser().await;
        superuser.batch_execute(weakening).await.unwrap();
        let change = "UPDATE skills SET description = 'Draws moon phases'";
        superuser.batch_execute(change).await.unwrap();
        let in_index = "the search index of acme: it differs for 1 of 1 skills; run `skillkeep search rebuild --tenant acme`";
        let ran = ended(
            &db,
            if is_json {
                &["doctor", "--json"]
            } else {
                &["doctor"]
            },
        );
        assert_fails(&ran, 1, "do not serve tenants");
        if !is_json {
            for wanted in [found_by_checks, found_by_attacks, in_index] {
                assert!(ran.out.contains(wanted), "{wanted}: {}", ran.out);
            }
            continue;
        }
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(report["passed"], false, "{report}");
        let findings: Vec<&str> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|check| check["findings"].as_array().unwrap())
            .map(|finding| finding.as_str().unwrap())
            .collect();
        for wanted in [found_by_checks, found_by_attacks] {
            assert!(
                findings.iter().any(|finding| finding.contains(wanted)),
                "{wanted}: {report}"
            );
        }
    }
}
