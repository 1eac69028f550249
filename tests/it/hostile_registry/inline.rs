//! Lies in the files that the offer itself brings.

use agent_skills::Digest;
use serde_json::{Value, json};

use super::cases::Case;
use super::server::{Answers, SKILL_MD, digest_of};
use super::zip::Entry;

/// A file as `install_skill` sends it.
fn piece(path: &str, bytes: &[u8]) -> Value {
    json!({
        "path": path,
        "digest": Digest::of(bytes).to_string(),
        "size": bytes.len(),
        "executable": false,
        "encoding": "utf-8",
        "content": String::from_utf8_lossy(bytes),
    })
}

pub(super) fn honest() -> Answers {
    with_files(vec![piece("SKILL.md", SKILL_MD)])
}

/// An offer with these files; it states the digest of an honest version unless they have other paths.
fn with_files(files: Vec<Value>) -> Answers {
    let entries: Vec<Entry> = files
        .iter()
        .filter_map(|file| {
            Some(Entry::file(
                file["path"].as_str()?,
                file["content"].as_str()?.as_bytes(),
            ))
        })
        .collect();
    let digest = digest_of(&entries);
    Answers {
        offer: Box::new(move |offer| {
            offer["digest"] = json!(digest);
            offer["file_count"] = json!(files.len());
            offer["files"] = json!(files);
        }),
        ..Answers::honest()
    }
}

fn case(name: &'static str, error: Option<&'static str>, files: Vec<Value>) -> Case {
    Case::new(name, error, move |_| with_files(files.clone()))
}

/// One file, changed, beside an honest archive.
fn changed(name: &'static str, error: Option<&'static str>, field: &'static str, value: Value) -> Case {
    let mut file = piece("SKILL.md", SKILL_MD);
    file[field] = value;
    Case::new(name, error, move |_| {
        let file = file.clone();
        Answers {
            offer: Box::new(move |offer| offer["files"] = json!([file])),
            ..Answers::honest()
        }
    })
}

pub(super) fn cases() -> Vec<Case> {
    let evil = b"---\nname: tides\ndescription: Evil.\n---\n";
    let skill_md = || piece("SKILL.md", SKILL_MD);
    let beside = |path: &str| vec![skill_md(), piece(path, b"evil")];
    vec![
        case(
            "an inline path that leads out",
            Some("is refused"),
            beside("../../evil"),
        ),
        case("an absolute inline path", Some("is refused"), beside("/tmp/evil")),
        case(
            "an inline path of Windows",
            Some("is refused"),
            beside("..\\..\\evil"),
        ),
        case(
            "an inline path that controls the terminal",
            Some("is refused"),
            beside("a\u{1b}[2Jb"),
        ),
        case(
            "an inline file of skillkeep's own",
            Some("skillkeep uses itself"),
            beside(".skillkeep.json"),
        ),
        case(
            "no SKILL.md inline",
            Some("no SKILL.md"),
            vec![piece("a.md", b"evil")],
        ),
        changed(
            "other inline bytes than the digest says",
            Some("do not have the stated digest"),
            "content",
            json!("x".repeat(SKILL_MD.len())),
        ),
        changed(
            "another inline file than was offered",
            Some("do not have the stated digest"),
            "digest",
            json!(Digest::of(evil).to_string()),
        ),
        changed(
            "an inline size that is not so",
            Some("are stated"),
            "size",
            json!(7),
        ),
        changed(
            "an executable bit inline that was not offered",
            Some("do not have the stated digest"),
            "executable",
            json!(true),
        ),
        // What is not whole or not readable is downloaded instead.
        changed("a part of a file inline", None, "continues", json!(true)),
        changed("an inline file from its middle", None, "offset", json!(3)),
        changed("an unknown encoding inline", None, "encoding", json!("utf-7")),
        changed("an inline size below zero", None, "size", json!(-1)),
        changed(
            "an inline path that is no text",
            None,
            "path",
            json!(["SKILL.md"]),
        ),
        Case::new("fewer inline files than counted", None, |_| Answers {
            offer: Box::new(|offer| {
                offer["files"] = json!([piece("SKILL.md", SKILL_MD)]);
                offer["file_count"] = json!(2);
            }),
            ..Answers::honest()
        }),
    ]
}
