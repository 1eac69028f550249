//! What the marker file says beside the release.

use std::fs;

use skill_installer::{InstallRecord, InstalledState, Options, PlanKind, inspect};

use super::fixture::{NOW, Project, name, v1};

#[test]
fn receipt_and_pin_are_recorded_with_the_install_and_replaced_later() {
    let project = Project::new();
    let install = |receipt, pinned| {
        let record = InstallRecord {
            receipt: Some(receipt),
            pinned,
            ..InstallRecord::at(NOW)
        };
        let plan = project.plan(&v1(), &Options::default()).unwrap();
        let applied = plan.apply(&project.folder, &v1(), &record, &Options::default());
        let InstalledState::Installed(installed) = inspect(&project.folder, &name("pdf")).unwrap() else {
            panic!("not installed");
        };
        assert!(installed.drift.is_clean());
        (
            applied.unwrap().kind,
            installed.marker.receipt,
            installed.marker.pinned,
        )
    };
    let receipt = |text: &str| Some(text.to_owned());
    assert_eq!(install("one", None), (PlanKind::New, receipt("one"), false));
    assert_eq!(
        install("two", Some(true)),
        (PlanKind::Current, receipt("two"), true)
    );
    assert_eq!(
        install("three", None),
        (PlanKind::Current, receipt("three"), true)
    );
    fs::remove_file(project.path("pdf/SKILL.md")).unwrap();
    assert_eq!(
        install("four", Some(false)),
        (PlanKind::Repair, receipt("four"), false)
    );
}
