//! Relative links from one skills folder to another.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use skill_installer::{LinkChange, Options, SkillsFolder, link, unlink};

use super::fixture::{Project, name, v1};

const TARGET: &str = "../../.agents/skills/pdf";

fn claude(project: &Project) -> SkillsFolder {
    SkillsFolder::open(project.root.path(), Path::new(".claude/skills")).unwrap()
}

#[test]
fn link_leads_to_the_installed_skill_and_is_removed_again() {
    let project = Project::with(&v1());
    let claude = claude(&project);
    let pdf = name("pdf");
    let options = Options::default();
    assert_eq!(
        link(&claude, &pdf, Path::new(TARGET), &options).unwrap(),
        LinkChange::Created
    );
    assert_eq!(
        link(&claude, &pdf, Path::new(TARGET), &options).unwrap(),
        LinkChange::Unchanged
    );
    let text = fs::read_to_string(project.root.path().join(".claude/skills/pdf/SKILL.md")).unwrap();
    assert!(text.contains("One"));
    // Another way to write the same place.
    let other = Path::new("./../../.agents/skills/pdf");
    assert_eq!(
        link(&claude, &pdf, other, &options).unwrap(),
        LinkChange::Replaced
    );
    fs::remove_dir_all(project.path("pdf")).unwrap();
    assert_eq!(unlink(&claude, &pdf, &options).unwrap(), LinkChange::Removed);
    assert_eq!(
        unlink(&claude, &pdf, &options).unwrap_err().code(),
        "not_installed"
    );
}

#[test]
fn only_own_skills_are_linked_and_only_own_links_replaced() {
    let project = Project::with(&v1());
    let claude = claude(&project);
    let pdf = name("pdf");
    let options = Options::default();
    project.write("theirs/SKILL.md", "theirs");
    symlink("pdf", project.path("alias")).unwrap();
    for target in [
        "../../.agents/skills/theirs",
        "../../.agents/skills/missing",
        "../../.agents/skills/alias",
        "../../../../etc",
        "/etc",
        "../../.agents/skills/pdf/SKILL.md",
    ] {
        let error = link(&claude, &pdf, Path::new(target), &options).unwrap_err();
        assert_eq!(error.code(), "bad_link", "{target}");
    }
    let path = project.root.path().join(".claude/skills/pdf");
    for (text, is_removed) in [
        ("/etc", false),
        ("../../.agents/skills/theirs", false),
        ("../../gone", true),
    ] {
        symlink(text, &path).unwrap();
        assert_eq!(
            link(&claude, &pdf, Path::new(TARGET), &options)
                .unwrap_err()
                .code(),
            "bad_link",
            "{text}"
        );
        assert_eq!(unlink(&claude, &pdf, &options).is_ok(), is_removed, "{text}");
        let _ = fs::remove_file(&path);
    }
    fs::create_dir(&path).unwrap();
    assert_eq!(
        link(&claude, &pdf, Path::new(TARGET), &options)
            .unwrap_err()
            .code(),
        "bad_link"
    );
    assert_eq!(unlink(&claude, &pdf, &options).unwrap_err().code(), "bad_link");
    assert!(path.is_dir());
}
