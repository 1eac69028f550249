//! Releases of a registry that lies, and marker files of somebody who does.

use std::fs;

use agent_skills::Digest;
use skill_installer::{
    Error, FolderName, InstalledState, Marker, Options, Release, ReleaseFile, ReleaseSignature, inspect,
    remove,
};

use super::fixture::{Project, file, name, raw_release, v1, v2};

fn skill_md() -> ReleaseFile {
    file("SKILL.md", b"text", false)
}

/// A release of SKILL.md and these paths.
fn with_paths(paths: &[&str]) -> Release {
    let files = paths.iter().map(|path| file(path, path.as_bytes(), false));
    raw_release("1", std::iter::once(skill_md()).chain(files).collect())
}

fn changed(change: impl FnOnce(&mut Release)) -> Release {
    let mut release = raw_release("1", vec![skill_md(), file("a.md", b"a", false)]);
    change(&mut release);
    release
}

fn reseal(mut release: Release) -> Release {
    release.digest = raw_release("1", release.files.clone()).digest;
    release
}

/// Each release with a word of the error.
fn hostile_paths() -> Vec<(Release, &'static str)> {
    [
        ("../evil", "\"..\""),
        ("a/../../evil", "\"..\""),
        ("./a", "\".\""),
        ("/etc/passwd", "starts with"),
        ("C:/evil", "drive"),
        ("a:stream", "drive"),
        ("a\\..\\evil", "backslash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("", "empty"),
        ("CON", "reserves"),
        ("docs/aux.md", "reserves"),
        ("com1.txt", "reserves"),
        ("a.", "ends with a dot"),
        ("b ", "ends with a dot"),
        ("a\u{202e}b", "invisible"),
        ("a\u{200b}b", "invisible"),
        (".git/hooks/post-checkout", ".git"),
        (".GIT/config", ".git"),
        (".skillkeep.json", "uses itself"),
        (".SkillKeep.json", "uses itself"),
        ("sub/.skillkeep.json", "uses itself"),
        (".skillkeep-lock", "uses itself"),
    ]
    .into_iter()
    .map(|(path, word)| (with_paths(&[path]), word))
    .collect()
}

/// Paths that no system, or not every one, can hold.
fn long_and_equal_paths() -> Vec<(Release, &'static str)> {
    let long = "a".repeat(256);
    let deep = "a/".repeat(40) + "b";
    vec![
        (with_paths(&[&long]), "255"),
        (with_paths(&[&deep]), "levels"),
        (with_paths(&["a", "A"]), "same name"),
        (with_paths(&["a", "a"]), "same name"),
        (with_paths(&["\u{e9}", "e\u{301}"]), "same name"),
        (with_paths(&["Docs/a", "docs/b"]), "same name"),
        (with_paths(&["a", "a/b"]), "file and a folder"),
        (with_paths(&["skill.MD"]), "same name"),
        (raw_release("1", vec![file("a", b"", false)]), "no SKILL.md"),
        (raw_release("1", vec![]), "no SKILL.md"),
        (
            raw_release("1", vec![file("skill.md", b"", false)]),
            "no SKILL.md",
        ),
    ]
}

/// Releases that state something else than they are.
fn lies() -> Vec<(Release, &'static str)> {
    vec![
        (
            changed(|release| release.files[1].bytes = b"b".to_vec()),
            "a.md do not have the stated digest",
        ),
        (
            reseal(changed(|release| release.files[1].digest = Digest::of(b"b"))),
            "do not have the stated digest",
        ),
        (
            reseal(changed(|release| release.files[1].size = 2)),
            "1 bytes, but 2 are stated",
        ),
        (
            reseal(changed(|release| release.files[1].size = u64::MAX)),
            "are stated",
        ),
        (
            changed(|release| release.files[1].executable = true),
            "digest of the version",
        ),
        (
            changed(|release| release.digest = Digest::of(b"")),
            "digest of the version",
        ),
        (
            changed(|release| {
                release.files.pop();
            }),
            "digest of the version",
        ),
        (
            changed(|release| release.skill = "../pdf".to_owned()),
            "not a slug",
        ),
        (changed(|release| release.skill = String::new()), "not a slug"),
        (
            changed(|release| release.version = "newest".to_owned()),
            "not a version",
        ),
        (
            changed(|release| release.registry = String::new()),
            "registry's name",
        ),
        (
            changed(|release| release.registry = "a\u{1b}[2J".to_owned()),
            "registry's name",
        ),
        (
            changed(|release| release.registry = "a".repeat(600)),
            "registry's name",
        ),
        (
            changed(|release| {
                release.signature = Some(ReleaseSignature {
                    key_id: "k".to_owned(),
                    algorithm: "ed25519".to_owned(),
                    bytes: "\"\u{1b}".to_owned(),
                })
            }),
            "signature",
        ),
    ]
}

fn hostile() -> Vec<(Release, &'static str)> {
    let mut cases = hostile_paths();
    cases.extend(long_and_equal_paths());
    cases.extend(lies());
    let many = (0..512).map(|number| file(&format!("f{number}"), b"", false));
    cases.push((raw_release("1", many.chain([skill_md()]).collect()), "512"));
    let large = vec![0; 16 * 1024 * 1024];
    cases.push((
        raw_release("1", vec![skill_md(), file("large", &large, false)]),
        "16777216",
    ));
    cases
}

#[test]
fn hostile_release_is_refused_with_its_reason() {
    let cases = hostile();
    assert!(cases.len() >= 40, "{}", cases.len());
    for (release, word) in cases {
        let shown: Vec<String> = release
            .files
            .iter()
            .take(3)
            .map(|file| file.path.clone())
            .collect();
        let error = release.verify().expect_err(&format!("{shown:?} {word}"));
        assert_eq!(error.code(), "bad_release");
        assert!(error.to_string().contains(word), "{word}: {error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[test]
fn folder_name_is_one_visible_component() {
    for text in ["pdf", "PDF tools", "\u{e9}", "a.b"] {
        assert!(text.parse::<FolderName>().is_ok(), "{text}");
    }
    let long = "a".repeat(181);
    for text in [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a\\b",
        ".hidden",
        ".skillkeep-stage-1",
        "CON",
        "a.",
        "a ",
        "a\0",
        "c:",
        &long,
        "a\u{202e}",
    ] {
        let error = text.parse::<FolderName>().unwrap_err();
        assert_eq!(error.code(), "bad_name", "{text}");
    }
}

/// Each change of the marker's JSON makes it invalid.
fn broken_markers(valid: &str) -> Vec<(String, &'static str)> {
    let mut value: serde_json::Value = serde_json::from_str(valid).unwrap();
    let mut cases = vec![
        (String::new(), "EOF"),
        ("{".to_owned(), "EOF"),
        ("[]".to_owned(), "struct"),
        (
            valid.replacen("\"format\": 1", "\"format\": 2", 1),
            "update skillkeep",
        ),
        (valid.replacen("\"pinned\"", "\"pined\"", 1), "pined"),
        (valid.replacen("\"docs/a.md\"", "\"../a.md\"", 1), "\"..\""),
        (
            valid.replacen("\"docs/a.md\"", "\"/etc/passwd\"", 1),
            "starts with",
        ),
        (
            valid.replacen("\"docs/a.md\"", "\"docs\\\\a.md\"", 1),
            "backslash",
        ),
        (valid.replacen("\"docs/a.md\"", "\"SKILL.md\"", 1), "same name"),
        (valid.replacen("\"docs/a.md\"", "\".skillkeep.json\"", 1), "names"),
        (
            valid.replacen("\"docs/a.md\"", "\"docs/b.md\"", 1),
            "do not have the digest",
        ),
        (
            valid.replacen("\"executable\": true", "\"executable\": false", 1),
            "do not have the digest",
        ),
        (
            valid.replacen("\"skill\": \"pdf\"", "\"skill\": \"../pdf\"", 1),
            "slug",
        ),
        (valid.replacen("\"1.0.0\"", "\"one\"", 1), "version"),
        (valid.replacen("sha256:", "sha512:", 1), "digest"),
        (valid.replacen("2026-11-26", "\\u001b[2J", 1), "short word"),
        (" ".repeat(2 * 1024 * 1024 + 1), "bytes"),
        (format!("{valid}{valid}"), "trailing"),
    ];
    let files = value["files"].as_array().unwrap().clone();
    value["files"] = files.iter().cycle().take(513).cloned().collect();
    cases.push((value.to_string(), "512"));
    cases
}

#[test]
fn folder_with_an_invalid_marker_is_not_ours() {
    let project = Project::with(&v1());
    let valid = project.read("pdf/.skillkeep.json");
    Marker::parse(valid.as_bytes()).unwrap();
    for (text, word) in broken_markers(&valid) {
        let reason = Marker::parse(text.as_bytes()).unwrap_err();
        assert!(reason.contains(word), "{word}: {reason}");
        project.write("pdf/.skillkeep.json", &text);
        let before = project.content();
        let state = inspect(&project.folder, &name("pdf")).unwrap();
        assert!(matches!(state, InstalledState::NotOurs { .. }), "{word}");
        let error = project.install(&v2(), &Options::default()).unwrap_err();
        assert_eq!(error.code(), "occupied", "{word}");
        let removed = remove(&project.folder, &name("pdf"), &Options::default());
        assert!(matches!(removed, Err(Error::NotInstalled { .. })), "{word}");
        assert_eq!(project.content(), before, "{word}");
    }
    fs::remove_file(project.path("pdf/.skillkeep.json")).unwrap();
    assert_eq!(
        project.install(&v2(), &Options::default()).unwrap_err().code(),
        "occupied"
    );
}
