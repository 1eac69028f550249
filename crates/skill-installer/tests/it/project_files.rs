//! The manifest, the lock file, and the lock file of the npm package `skills`.

use agent_skills::{Digest, Slug};
use proptest::prelude::*;
use skill_installer::{LockFile, LockedSkill, Manifest, WantedSkill, read_npm_lock};

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn locked(name: &str, version: &str) -> LockedSkill {
    LockedSkill {
        name: slug(name),
        registry: "https://skills.example.com".to_owned(),
        version: version.parse().unwrap(),
        digest: Digest::of(name.as_bytes()),
        signer: None,
        folder: None,
    }
}

const MANIFEST: &str = r#"# Our skills.
[registry]
url = "https://skills.example.com"

[skills]
# For reports.
pdf = "1.2" # checked by Ada
docx = { version = "^1.2", registry = "https://other.example.com", folder = "word", pinned = true }

[targets]
assistants = ["claude-code", "codex"]
"#;

fn wanted(name: &str, version: &str) -> WantedSkill {
    WantedSkill {
        name: slug(name),
        version: version.parse().unwrap(),
        registry: None,
        folder: None,
        pinned: false,
    }
}

#[test]
fn manifest_is_read_and_edited_where_it_is() {
    let mut manifest = Manifest::parse(MANIFEST).unwrap();
    assert_eq!(manifest.registry(), Some("https://skills.example.com"));
    assert_eq!(manifest.assistants(), ["claude-code", "codex"]);
    let docx = manifest.skills()[1].clone();
    assert_eq!((docx.version.as_str(), docx.pinned), ("^1.2", true));
    assert_eq!(docx.folder.as_ref().unwrap().as_str(), "word");
    assert_eq!(manifest.to_text(), MANIFEST);

    manifest.set_skill(wanted("pdf", "~2.0"));
    manifest.set_skill(wanted("xlsx", "latest"));
    assert!(manifest.remove_skill(&slug("docx")));
    assert!(!manifest.remove_skill(&slug("docx")));
    let text = manifest.to_text();
    let expected = MANIFEST
        .replace("pdf = \"1.2\"", "pdf = \"~2.0\"")
        .lines()
        .map(|line| {
            if line.starts_with("docx") {
                "xlsx = \"latest\""
            } else {
                line
            }
        })
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    assert_eq!(text, expected);
    let read = Manifest::parse(&text).unwrap();
    assert_eq!(read.skills(), manifest.skills());
}

#[test]
fn manifest_is_written_from_nothing() {
    let mut manifest = Manifest::default();
    manifest.set_registry("https://skills.example.com");
    manifest.set_skill(wanted("pdf", "^1"));
    manifest.set_skill(WantedSkill {
        folder: Some("word".parse().unwrap()),
        pinned: true,
        ..wanted("docx", "1")
    });
    manifest.set_assistants(&["codex"]);
    let text = manifest.to_text();
    let expected = "[registry]\nurl = \"https://skills.example.com\"\n\n[skills]\npdf = \"^1\"\n\
                    docx = { version = \"1\", folder = \"word\", pinned = true }\n\n[targets]\nassistants = [\"codex\"]\n";
    assert_eq!(text, expected);
    assert_eq!(Manifest::parse(&text).unwrap().skills(), manifest.skills());
}

#[test]
fn invalid_manifest_names_the_line() {
    for (text, line, word) in [
        ("[skills]\npdf = \"1.2\"\npdf = \"1.3\"\n", 3, "duplicate"),
        ("[skills]\npdf = 1\n", 2, "pdf = \"^1.2\""),
        ("[skills]\n\npdf = \"newest\"\n", 3, "version requirement"),
        ("[skills]\nPDF = \"1\"\n", 2, "slug"),
        ("[skills]\npdf = { versoin = \"1\" }\n", 2, "versoin"),
        ("[skills]\npdf = { folder = \"../x\" }\n", 2, "folder"),
        ("[skills]\npdf = { pinned = \"yes\" }\n", 2, "true or false"),
        ("[skill]\n", 1, "unknown key"),
        ("[targets]\nassistants = \"codex\"\n", 2, "list"),
        ("[targets]\nassistants = [1]\n", 2, "list"),
        ("[registry]\nurl = 1\n", 2, "text"),
        (
            "[skills]\na = \"1\"\n<<<<<<< HEAD\nb = \"1\"\n=======\nb = \"2\"\n>>>>>>> x\n",
            3,
            "merge conflict",
        ),
        ("[skills\n", 1, ""),
    ] {
        let error = Manifest::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("skillkeep.toml, line {line}: ")),
            "{text}: {error}"
        );
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn lock_file_has_stable_bytes_and_is_sorted() {
    let mut lock_file = LockFile::default();
    lock_file.set(locked("pdf", "1.2.0"));
    lock_file.set(LockedSkill {
        signer: Some("0123456789abcdef".to_owned()),
        folder: Some("word".parse().unwrap()),
        ..locked("docx", "3")
    });
    let text = lock_file.to_text();
    let digest = |name: &str| Digest::of(name.as_bytes());
    let expected = format!(
        "# Written by skillkeep. Commit this file; do not edit it.\nversion = 1\n\n\
         [[skill]]\nname = \"docx\"\nregistry = \"https://skills.example.com\"\nversion = \"3\"\ndigest = \"{}\"\n\
         signer = \"0123456789abcdef\"\nfolder = \"word\"\n\n\
         [[skill]]\nname = \"pdf\"\nregistry = \"https://skills.example.com\"\nversion = \"1.2.0\"\ndigest = \"{}\"\n",
        digest("docx"),
        digest("pdf")
    );
    assert_eq!(text, expected);
    assert_eq!(LockFile::parse(&text).unwrap(), lock_file);
    lock_file.set(locked("pdf", "1.3"));
    assert_eq!(lock_file.skills().len(), 2);
    assert!(lock_file.remove(&slug("pdf")) && !lock_file.remove(&slug("pdf")));
    assert_eq!(LockFile::parse("").unwrap(), LockFile::default());
}

#[test]
fn invalid_lock_file_names_the_line() {
    let mut lock_file = LockFile::default();
    lock_file.set(locked("pdf", "1.2.0"));
    let valid = lock_file.to_text();
    for (text, line, word) in [
        (
            valid.replace("version = 1\n", "version = 2\n"),
            2,
            "newer skillkeep",
        ),
        (valid.replace("\"pdf\"", "\"../pdf\""), 5, "slug"),
        (valid.replace("\"1.2.0\"", "\"x\""), 7, "version"),
        (valid.replace("sha256:", "sha1:"), 8, "digest"),
        (
            valid.replace("registry = \"https://skills.example.com\"\n", ""),
            4,
            "missing",
        ),
        (valid.replace("registry =", "regsitry ="), 6, "regsitry"),
        (
            format!("{valid}{}", &valid[valid.find("[[").unwrap()..]),
            9,
            "twice",
        ),
        (format!("{valid}<<<<<<< HEAD\n"), 9, "merge conflict"),
    ] {
        let error = LockFile::parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("skillkeep.lock, line {line}: ")),
            "{text}: {error}"
        );
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn skills_of_the_npm_lock_file_are_read() {
    let text = r#"{"version":1,"skills":{
        "pdf":{"source":"acme/skills","sourceUrl":"https://example.com/acme/skills.git","sourceType":"github","ref":"main","skillPath":"skills/pdf/SKILL.md","computedHash":"00"},
        "a":{"source":"x","sourceType":"local","computedHash":"00","newField":true}}}"#;
    let skills = read_npm_lock(text).unwrap();
    assert_eq!(
        skills.iter().map(|skill| &*skill.name).collect::<Vec<_>>(),
        ["a", "pdf"]
    );
    assert_eq!(skills[1].reference.as_deref(), Some("main"));
    for (text, word) in [
        ("{\"version\":3}", "version 3"),
        ("{\n", "line 2"),
        ("<<<<<<< a\n", "merge conflict"),
    ] {
        let error = read_npm_lock(text).unwrap_err().to_string();
        assert!(
            error.starts_with("skills-lock.json, line") && error.contains(word),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn lock_file_round_trips(
        skills in prop::collection::vec(("[a-z0-9]{1,12}", "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}", any::<bool>(), "[^\\p{C}/\\\\]{1,10}"), 0..12)
    ) {
        let mut lock_file = LockFile::default();
        for (name, version, has_signer, registry) in skills {
            lock_file.set(LockedSkill {
                registry: format!("r{registry}r"),
                signer: has_signer.then(|| "0123456789abcdef".to_owned()),
                ..locked(&name, &version)
            });
        }
        let valid = lock_file.skills().iter().all(|skill| !skill.registry.chars().any(agent_skills::is_hidden));
        prop_assume!(valid);
        let text = lock_file.to_text();
        let read = LockFile::parse(&text).unwrap();
        prop_assert_eq!(&read, &lock_file);
        prop_assert_eq!(read.to_text(), text);
    }

    #[test]
    fn parsers_never_panic(text in ".{0,200}", body in "(\\[|\\]|=|\"|\n|skills|pdf|version|\\{|\\}|1|#| ){0,60}") {
        for text in [text, body] {
            let _ = LockFile::parse(&text);
            let _ = Manifest::parse(&text);
            let _ = read_npm_lock(&text);
        }
    }
}
