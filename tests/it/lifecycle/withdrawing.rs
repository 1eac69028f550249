//! Yank, archive, deprecate, rename, transfer, fork, rate.

use serde_json::json;

use super::{Team, publish};

#[tokio::test(flavor = "multi_thread")]
async fn yanked_version_is_readable_but_neither_found_nor_installed() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    publish(&team.author, "sort-tides", Some("2.0"), "Two.").await;
    let yank =
        |version: &str| json!({"skill": "sort-tides", "version": version, "reason": "It deletes files."});
    team.author.ok("yank_skill", yank("2.0")).await;
    let skill = team.other.ok("get_skill", json!({"skill": "sort-tides"})).await;
    assert_eq!(skill["version"], "1.0");
    let skill = team
        .other
        .ok("get_skill", json!({"skill": "sort-tides", "version": "2.0"}))
        .await;
    assert!(skill.to_string().contains("It deletes files."), "{skill}");
    let refused = team
        .other
        .error(
            "install_skill",
            json!({"skill": "sort-tides", "version": "2.0", "assistant": "codex"}),
        )
        .await;
    assert!(refused.contains("It deletes files."), "{refused}");
    let copy = json!({"skill": "sort-tides", "version": "2.0", "new_name": "mine"});
    let refused = team.other.error("fork_skill", copy).await;
    assert!(refused.contains("It deletes files."), "{refused}");
    team.author.ok("yank_skill", yank("1.0")).await;
    let gone = team
        .other
        .ok("get_skill", json!({"skill": "sort-tides", "version": "1.0"}))
        .await;
    assert!(
        gone["next_step"].to_string().contains("there is no other"),
        "{gone}"
    );
    assert_eq!(team.found("tide tables").await, Vec::<String>::new());
    let refused = team.author.error("yank_skill", yank("1.0")).await;
    assert!(refused.contains("version 1.0 is yanked"), "{refused}");
    team.author
        .ok(
            "yank_skill",
            json!({"skill": "sort-tides", "version": "1.0", "undo": true}),
        )
        .await;
    assert_eq!(team.found("tide tables").await, ["sort-tides"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_draft_stays_hidden_from_other_users() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    let draft = json!({"files": super::files("sort-tides", Some("2.0"), "Two."), "draft": true});
    team.author.ok("publish_skill", draft).await;
    let yank = json!({"skill": "sort-tides", "version": "2.0", "reason": "Not good."});
    team.author.ok("yank_skill", yank).await;
    let get = json!({"skill": "sort-tides", "version": "2.0", "file": "SKILL.md"});
    team.author.ok("get_skill", get.clone()).await;
    for (tool, arguments) in [
        ("get_skill", get),
        (
            "fork_skill",
            json!({"skill": "sort-tides", "version": "2.0", "new_name": "mine"}),
        ),
    ] {
        let refused = team.other.error(tool, arguments).await;
        assert!(refused.contains("There is no"), "{tool}: {refused}");
    }
    let versions = team.other.ok("get_skill", json!({"skill": "sort-tides"})).await;
    assert!(!versions["versions"].to_string().contains("2.0"), "{versions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_skill_is_gone_until_it_is_restored() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let update = |action: &str| json!({"skill": "sort-tides", "action": action});
    team.author.ok("update_skill", update("archive")).await;
    assert_eq!(team.found("tide tables").await, Vec::<String>::new());
    let hidden = team
        .other
        .error("get_skill", json!({"skill": "sort-tides"}))
        .await;
    assert!(hidden.contains("There is no skill"), "{hidden}");
    let refused = team
        .author
        .error(
            "publish_skill",
            json!({"files": super::files("sort-tides", None, "Two.")}),
        )
        .await;
    assert!(refused.contains("archived"), "{refused}");
    team.author.ok("update_skill", update("restore")).await;
    assert_eq!(team.found("tide tables").await, ["sort-tides"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn former_slug_leads_to_the_renamed_skill() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    publish(&team.author, "taken", None, "Other.").await;
    let rename = |from: &str, to: &str| json!({"skill": from, "action": "rename", "to": to});
    let refused = team
        .author
        .error("update_skill", rename("sort-tides", "taken"))
        .await;
    assert!(refused.contains("\"taken\" is taken"), "{refused}");
    let renamed = team
        .author
        .ok("update_skill", rename("sort-tides", "tide-sorter"))
        .await;
    assert_eq!(renamed["skill"], "tide-sorter");
    for slug in ["sort-tides", "tide-sorter"] {
        let skill = team.other.ok("get_skill", json!({"skill": slug})).await;
        assert_eq!(skill["skill"], "tide-sorter");
    }
    // The former slug stays reserved, and can be taken back.
    let refused = team
        .author
        .error("update_skill", rename("taken", "sort-tides"))
        .await;
    assert!(refused.contains("is taken"), "{refused}");
    let back = team
        .author
        .ok("update_skill", rename("tide-sorter", "sort-tides"))
        .await;
    assert_eq!(back["skill"], "sort-tides");
    let skill = team.other.ok("get_skill", json!({"skill": "tide-sorter"})).await;
    assert_eq!(skill["skill"], "sort-tides");
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_remembers_its_origin_and_belongs_to_the_forker() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    let fork = json!({"skill": "sort-tides", "new_name": "sort-tides-north"});
    let forked = team.other.ok("fork_skill", fork.clone()).await;
    assert_eq!(
        (&forked["skill"], &forked["origin"], &forked["origin_version"]),
        (&json!("sort-tides-north"), &json!("sort-tides"), &json!("1.0"))
    );
    let file = team
        .other
        .ok(
            "get_skill",
            json!({"skill": "sort-tides-north", "file": "SKILL.md"}),
        )
        .await;
    assert!(file.to_string().contains("name: sort-tides-north"), "{file}");
    let refused = team.other.error("fork_skill", fork).await;
    assert!(refused.contains("taken"), "{refused}");
    let published = team
        .other
        .ok(
            "publish_skill",
            json!({"files": super::files("sort-tides-north", Some("1.1"), "North.")}),
        )
        .await;
    assert_eq!(published["outcome"], "updated");
    let missing = team
        .other
        .error("fork_skill", json!({"skill": "nothing", "new_name": "something"}))
        .await;
    assert!(missing.contains("There is no skill \"nothing\""), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn draft_of_another_user_cannot_be_forked() {
    let team = Team::new().await;
    let draft = json!({"files": super::files("sort-tides", None, "One."), "draft": true});
    team.author.ok("publish_skill", draft).await;
    let refused = team
        .other
        .error("fork_skill", json!({"skill": "sort-tides", "new_name": "mine"}))
        .await;
    assert!(refused.contains("There is no skill \"sort-tides\""), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_one_rating_and_owners_have_none() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let rate = |stars: i64| json!({"skill": "sort-tides", "stars": stars, "comment": "Good."});
    let first = team.other.ok("rate_skill", rate(2)).await;
    assert_eq!(
        (&first["change"], &first["used"]),
        (&json!("created"), &json!(false))
    );
    let second = team.other.ok("rate_skill", rate(5)).await;
    assert_eq!(
        (&second["change"], &second["ratings"]),
        (&json!("changed"), &json!(1))
    );
    team.reviewer
        .ok(
            "record_usage",
            json!({"skill": "sort-tides", "outcome": "helped"}),
        )
        .await;
    let third = team.reviewer.ok("rate_skill", rate(4)).await;
    assert_eq!((&third["used"], &third["stars"]), (&json!(true), &json!(4.5)));
    let refused = team.author.error("rate_skill", rate(5)).await;
    assert!(refused.contains("You own \"sort-tides\""), "{refused}");
    let withdrawn = team
        .other
        .ok("rate_skill", json!({"skill": "sort-tides", "withdraw": true}))
        .await;
    assert_eq!(
        (&withdrawn["change"], &withdrawn["ratings"]),
        (&json!("withdrawn"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transferred_skill_is_managed_by_its_new_owner_only() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let transfer = |to: &str| json!({"skill": "sort-tides", "action": "transfer", "to": to});
    let refused = team
        .author
        .error("update_skill", transfer("nobody@example.com"))
        .await;
    assert!(refused.contains("no active user nobody@example.com"), "{refused}");
    team.author
        .ok("update_skill", transfer("other@example.com"))
        .await;
    let archive = json!({"skill": "sort-tides", "action": "archive"});
    let refused = team.author.error("update_skill", archive.clone()).await;
    assert!(refused.contains("You may not do this"), "{refused}");
    team.other.ok("update_skill", archive).await;
    let log = team.audited().await;
    assert_eq!(log, ["skill.publish", "skill.transfer", "skill.archive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_of_ratings_are_shown_without_their_authors() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let rate = |stars: i64, comment: &str| json!({"skill": "sort-tides", "stars": stars, "comment": comment});
    team.other
        .ok("rate_skill", rate(2, "It counts the header."))
        .await;
    team.reviewer.ok("rate_skill", rate(4, "")).await;
    let skill = team.author.ok("get_skill", json!({"skill": "sort-tides"})).await;
    let comments = skill["comments"].as_array().unwrap();
    assert_eq!(comments.len(), 1, "{skill}");
    assert_eq!(
        (
            &comments[0]["stars"],
            &comments[0]["text"],
            &comments[0]["never_used"]
        ),
        (&json!(2), &json!("It counts the header."), &json!(true))
    );
    assert!(!skill.to_string().contains("other@example.com"), "{skill}");
    team.other
        .ok("rate_skill", json!({"skill": "sort-tides", "withdraw": true}))
        .await;
    let skill = team.author.ok("get_skill", json!({"skill": "sort-tides"})).await;
    assert_eq!(skill.get("comments"), None, "{skill}");
}
