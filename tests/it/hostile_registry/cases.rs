//! What a registry may answer.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};

use super::bodies::{bomb, broken, endless, honest_zip};
use super::inline;
use super::server::{Answers, SKILL_MD, archive};
use super::zip::Entry;

/// A lie, and a part of the error that the user reads; `None` if the skill is installed all the same.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Gets the address of the other server.
    pub(super) answers: Box<dyn Fn(&str) -> Answers + Send + Sync>,
    pub(super) error: Option<&'static str>,
    /// Where the bridge says it in other words.
    pub(super) bridge_error: Option<&'static str>,
}

impl Case {
    pub(super) fn new(
        name: &'static str,
        error: Option<&'static str>,
        answers: impl Fn(&str) -> Answers + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            answers: Box::new(answers),
            error,
            bridge_error: None,
        }
    }
}

/// A lie in the archive, with honest answers otherwise.
fn bad_archive(
    name: &'static str,
    error: Option<&'static str>,
    respond: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> Case {
    Case::new(name, error, move |_| Answers {
        archive: Box::new(respond.clone()),
        ..Answers::honest()
    })
}

/// An archive whose digest is the one that is stated.
fn bad_files(
    name: &'static str,
    error: Option<&'static str>,
    entries: impl Fn() -> Vec<Entry> + Clone + Send + Sync + 'static,
) -> Case {
    let all = move || {
        let mut all = vec![Entry::file("SKILL.md", SKILL_MD)];
        all.extend(entries());
        all
    };
    Case::new(name, error, move |_| Answers::of_entries(all.clone()))
}

/// A lie in a field of the offer.
fn bad_offer(name: &'static str, error: Option<&'static str>, field: &'static str, value: Value) -> Case {
    Case::new(name, error, move |_| {
        let value = value.clone();
        Answers {
            offer: Box::new(move |offer| offer[field] = value.clone()),
            ..Answers::honest()
        }
    })
}

fn instead_of_offer(
    name: &'static str,
    error: &'static str,
    bridge_error: Option<&'static str>,
    respond: impl Fn(&str) -> Response + Clone + Send + Sync + 'static,
) -> Case {
    let answers = move |elsewhere: &str| {
        let (respond, elsewhere) = (respond.clone(), elsewhere.to_owned());
        Answers {
            instead_of_offer: Some(Box::new(move || respond(&elsewhere))),
            ..Answers::honest()
        }
    };
    Case {
        bridge_error,
        ..Case::new(name, Some(error), answers)
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = archives();
    cases.extend(files());
    cases.extend(offers());
    cases.extend(protocol());
    cases.extend(inline::cases());
    cases
}

fn archives() -> Vec<Case> {
    vec![
        bad_archive(
            "another file than was offered",
            Some("do not have the stated digest"),
            || {
                archive(&[Entry::file(
                    "SKILL.md",
                    b"---\nname: tides\ndescription: Evil.\n---\n",
                )])
            },
        ),
        bad_archive(
            "one file more than was offered",
            Some("do not have the stated digest"),
            || archive(&[Entry::file("SKILL.md", SKILL_MD), Entry::file("run.sh", b"evil")]),
        ),
        bad_archive(
            "an executable bit that was not offered",
            Some("do not have the stated digest"),
            || {
                archive(&[Entry {
                    mode: 0o100_755,
                    ..Entry::file("SKILL.md", SKILL_MD)
                }])
            },
        ),
        bad_archive("half an archive", Some("not readable"), || {
            let zip = honest_zip();
            zip[..zip.len() / 2].to_vec().into_response()
        }),
        bad_archive("a body that breaks off", Some("did not send the skill"), || {
            broken(&honest_zip()[..50]).into_response()
        }),
        bad_archive(
            "a body shorter than its stated length",
            Some("did not send the skill"),
            || ([("content-length", "100000")], broken(&honest_zip())).into_response(),
        ),
        bad_archive("an endless body", Some("larger than 20 MiB"), || {
            endless().into_response()
        }),
        bad_archive("nothing", Some("not readable"), || StatusCode::OK.into_response()),
        bad_archive("a page of a proxy", Some("not readable"), || {
            ([("content-type", "text/html")], "<html>Please log in</html>").into_response()
        }),
        bad_archive("a right archive with a wrong content type", None, || {
            ([("content-type", "text/html")], honest_zip()).into_response()
        }),
        bad_archive("an error without a text", Some("status 500"), || {
            (StatusCode::INTERNAL_SERVER_ERROR, "<html>\u{1b}[2Jno</html>").into_response()
        }),
        bad_archive("a refusal that controls the terminal", Some("gone"), || {
            let body = json!({"error": {"code": "x\u{1b}", "message": "gone\u{1b}[2J\u{202e}"}});
            (StatusCode::GONE, axum::Json(body)).into_response()
        }),
        Case::new(
            "a redirect of the download to another server",
            Some("redirects to another address"),
            |elsewhere| {
                let to = format!("{elsewhere}/skills/tides/1.0.zip");
                Answers {
                    archive: Box::new(move || Redirect::temporary(&to).into_response()),
                    ..Answers::honest()
                }
            },
        ),
        bad_archive("a file of 64 MiB in a small archive", Some("not readable"), bomb),
        bad_archive(
            "a stated size that is not that of the file",
            Some("not readable"),
            || {
                archive(&[Entry {
                    stated_size: Some(1 << 30),
                    ..Entry::file("SKILL.md", SKILL_MD)
                }])
            },
        ),
    ]
}

fn files() -> Vec<Case> {
    let one = |name: &'static str| move || vec![Entry::file(name, b"evil")];
    let link = || {
        vec![Entry {
            mode: 0o120_777,
            ..Entry::file("link", b"/etc/passwd")
        }]
    };
    vec![
        bad_files("a path that leads out", Some("archive"), one("../../evil")),
        bad_files(
            "a path that leads out of a folder",
            Some("archive"),
            one("a/../../evil"),
        ),
        bad_files("an absolute path", Some("archive"), one("/tmp/evil")),
        bad_files("a path of Windows", Some("archive"), one("..\\..\\evil")),
        bad_files("a drive of Windows", Some("archive"), one("C:\\evil")),
        bad_files("a name with a line feed", Some("archive"), one("a\nb")),
        bad_files(
            "a name that turns the text around",
            Some("archive"),
            one("a\u{202e}b"),
        ),
        bad_files("a device of Windows", Some("archive"), one("aux.txt")),
        bad_files(
            "hooks of Git, which are left out",
            None,
            one(".git/hooks/post-checkout"),
        ),
        bad_files(
            "a marker file of this program",
            Some("skillkeep uses itself"),
            one(".skillkeep.json"),
        ),
        bad_files("a link", Some("archive"), link),
        bad_files("two names that are one", Some("archive"), || {
            vec![Entry::file("notes.md", b"1"), Entry::file("Notes.md", b"2")]
        }),
        bad_files("a name twice", Some("archive"), || {
            vec![Entry::file("notes.md", b"1"), Entry::file("notes.md", b"2")]
        }),
        bad_files("a file that is a folder too", Some("archive"), || {
            vec![Entry::file("notes", b"1"), Entry::file("notes/a", b"2")]
        }),
        bad_files("too many files", Some("more than 512 files"), || {
            (0..600)
                .map(|number| Entry::file(&format!("{number}.md"), b"x"))
                .collect()
        }),
        Case::new("no SKILL.md", Some("SKILL.md"), |_| {
            Answers::of_entries(|| vec![Entry::file("README.md", b"Read me.")])
        }),
        Case::new("a name in SKILL.md that leads out", None, |_| {
            Answers::of_entries(|| {
                let text = b"---\nname: ../../../evil\ndescription: Reads.\n---\n\nRead.\n";
                vec![Entry::file("SKILL.md", text)]
            })
        }),
    ]
}

fn offers() -> Vec<Case> {
    let signature = json!({"key_id": "0".repeat(16), "value": "AAAA"});
    vec![
        bad_offer(
            "a digest of other files",
            Some("do not have the stated digest"),
            "digest",
            json!(format!("sha256:{}", "0".repeat(64))),
        ),
        bad_offer("no digest", Some("lacks `digest`"), "digest", json!("md5:0")),
        bad_offer(
            "a skill that leads out",
            Some("not a slug"),
            "skill",
            json!("../../evil"),
        ),
        bad_offer(
            "a skill that controls the terminal",
            Some("not a slug"),
            "skill",
            json!("a\u{1b}[2Jb"),
        ),
        bad_offer(
            "a version that leads out",
            Some("not a version"),
            "version",
            json!("../../evil"),
        ),
        bad_offer(
            "a version that is a number",
            Some("lacks `version`"),
            "version",
            json!(1),
        ),
        bad_offer(
            "an install without an id",
            Some("lacks `install_id`"),
            "install_id",
            Value::Null,
        ),
        bad_offer(
            "an id that is no word",
            Some("lacks `install_id`"),
            "install_id",
            json!("two words\n"),
        ),
        bad_offer(
            "an id without an end",
            Some("lacks `install_id`"),
            "install_id",
            json!("x".repeat(1_000_000)),
        ),
        bad_offer(
            "a signature of nobody",
            Some("have not accepted"),
            "signature",
            signature,
        ),
        bad_offer(
            "notes that control the terminal",
            None,
            "notes",
            json!(["Read\u{1b}[2J this\u{202e}."]),
        ),
        Case::new(
            "another version at the download than was offered",
            Some("do not have the stated digest"),
            |_| Answers {
                archive: Box::new(|| {
                    archive(&[Entry::file(
                        "SKILL.md",
                        b"---\nname: tides\ndescription: Reads tides.\n---\n\nVersion 2.\n",
                    )])
                }),
                ..Answers::honest()
            },
        ),
    ]
}

fn protocol() -> Vec<Case> {
    let rpc = |value: Value| axum::Json(value).into_response();
    vec![
        instead_of_offer(
            "a redirect of the call to another server",
            "redirects to another address",
            None,
            |elsewhere| Redirect::temporary(&format!("{elsewhere}/mcp")).into_response(),
        ),
        instead_of_offer("a rejected key", "rejected the API key", None, |_| {
            StatusCode::UNAUTHORIZED.into_response()
        }),
        instead_of_offer("a page in place of an answer", "does not speak MCP", None, |_| {
            ([("content-type", "text/html")], "<html>welcome</html>").into_response()
        }),
        instead_of_offer("an answer without an end", "longer than 64 MiB", None, |_| {
            endless().into_response()
        }),
        instead_of_offer(
            "an answer to another request",
            "does not speak MCP",
            None,
            move |_| rpc(json!({"jsonrpc": "2.0", "id": "other", "result": {}})),
        ),
        Case::new(
            "a refusal that controls the terminal",
            Some("No such skill"),
            |_| Answers {
                archive: Box::new(|| {
                    let body =
                        json!({"error": {"code": "not_found", "message": "No such skill\u{1b}]0;evil\u{7}"}});
                    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
                }),
                ..Answers::honest()
            },
        ),
        Case::new("an answer that is no offer", Some("lacks `install_id`"), |_| {
            Answers {
                offer: Box::new(|offer| *offer = json!([1, 2, 3])),
                ..Answers::honest()
            }
        }),
        Case::new(
            "a tool error that controls the terminal",
            Some("No such skill"),
            |_| Answers {
                tool_error: Some("No such skill\u{1b}]0;evil\u{7}\u{202e}".to_owned() + &"x".repeat(100_000)),
                ..Answers::honest()
            },
        ),
        Case::new("a confirmation that fails", None, |_| Answers {
            instead_of_confirmation: Some(Box::new(|| {
                (StatusCode::INTERNAL_SERVER_ERROR, "\u{1b}[2J").into_response()
            })),
            ..Answers::honest()
        }),
    ]
}
