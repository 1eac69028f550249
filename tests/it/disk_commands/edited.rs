//! `skillkeep update` and files that a person edited.

use std::fs;

use super::{Desk, skill_md};

const EDITED: &str = "Edited by hand.\n";

/// The file that the output names, relative to the project.
fn backup_of(output: &str) -> String {
    let mut backups = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("moved to backup: "));
    backups.next().expect("the backup is named").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_update_restores_edited_files_of_the_newest_version() {
    let desk = Desk::new().await;
    desk.ok(&["add", "tides"]);
    let copy = desk.project.join(".agents/skills/tides");
    fs::write(copy.join("SKILL.md"), EDITED).unwrap();
    assert!(desk.ok(&["update"]).contains("Everything is up to date."));
    assert_eq!(desk.read(".agents/skills/tides/SKILL.md"), EDITED);
    let dry = desk.ok(&["update", "--dry-run", "--force"]);
    assert!(dry.contains("-Edited by hand."), "{dry}");
    assert_eq!(desk.read(".agents/skills/tides/SKILL.md"), EDITED);

    let forced = desk.ok(&["update", "--force"]);
    assert!(forced.contains("repaired tides 1.0"), "{forced}");
    assert_eq!(desk.read(&backup_of(&forced)), EDITED);
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    assert!(
        desk.ok(&["update", "--force"])
            .contains("Everything is up to date.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_names_files_that_the_update_keeps() {
    let desk = Desk::new().await;
    desk.ok(&["add", "tides@*"]);
    fs::write(desk.project.join(".agents/skills/tides/SKILL.md"), EDITED).unwrap();
    desk.publish("tides", "1.1").await;
    let kept = "  kept SKILL.md: it was edited here (--force replaces it)";
    let dry = desk.ok(&["update", "--dry-run"]);
    assert!(dry.contains(kept), "{dry}");
    assert!(!dry.contains("-Edited by hand."), "{dry}");
    let dry = desk.ok(&["update", "--dry-run", "--force"]);
    assert!(!dry.contains(kept) && dry.contains("-Edited by hand."), "{dry}");
    assert!(desk.ok(&["update"]).contains(kept));
    assert_eq!(desk.read(".agents/skills/tides/SKILL.md"), EDITED);
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_says_where_the_backup_is() {
    let desk = Desk::new().await;
    desk.ok(&["add", "tides"]);
    fs::write(desk.project.join(".agents/skills/tides/SKILL.md"), EDITED).unwrap();
    let removed = desk.offline(0, &["remove", "tides", "--force"]).out;
    let backup = backup_of(&removed);
    assert_eq!(desk.read(&backup), EDITED);
}
