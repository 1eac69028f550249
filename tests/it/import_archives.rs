//! `skillkeep import` of archives and of the export of another registry (case S15 of issue 13, and its neighbours).

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{CommandOutput, ended, program_as};
use crate::import::{import, line, put, skill_md};
use crate::import_sources::{codes, outcomes, with_tenant};

/// Packs files into `tide-tables.zip`.
fn packed(root: &Path, files: &[(&str, String)]) -> PathBuf {
    let files: Vec<agent_skills::SkillFile> = files
        .iter()
        .map(|(path, text)| agent_skills::SkillFile {
            path: agent_skills::SkillPath::parse(path).unwrap(),
            bytes: text.clone().into_bytes(),
            is_executable: false,
        })
        .collect();
    let path = root.join("tide-tables.zip");
    fs::write(&path, agent_skills::write_zip(&files).unwrap()).unwrap();
    path
}

/// S15: archives.
#[tokio::test(flavor = "multi_thread")]
async fn archives_are_imported_like_folders() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    let nameless = "---\ndescription: Reads tides.\n---\nDo it.\n".to_owned();
    let zip = packed(
        root.path(),
        &[
            ("SKILL.md", nameless),
            (".env", "X=y".to_owned()),
            ("a/b.md", "b".to_owned()),
        ],
    );
    let (ran, lines) = import(&db, &zip, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(outcomes(&lines), [("created", "tide-tables", "1")]);
    assert!(codes(&lines[0]).contains(&"secret_file"), "{lines:?}");
    assert_eq!(
        outcomes(&import(&db, &zip, &[]).1),
        [("unchanged", "tide-tables", "1")]
    );

    let tar = root.path().join("yard-3f2a.tar.gz");
    let encoder = flate2::write::GzEncoder::new(fs::File::create(&tar).unwrap(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    for (path, text) in [
        ("yard-3f2a/skills/one/SKILL.md", skill_md("one", "One.")),
        ("yard-3f2a/skills/two/SKILL.md", skill_md("two", "Two.")),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    builder
        .append_link(&mut link, "yard-3f2a/skills/one/up", "../../..")
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap();
    let (ran, lines) = import(&db, &tar, &["--source", "yard"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(line(&lines, "skills/one")["outcome"], "created");
    assert_eq!(line(&lines, "skills/two")["outcome"], "created");
    assert_eq!(line(&lines, "yard-3f2a/skills/one/up")["outcome"], "left_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_or_unknown_file_is_refused_and_nothing_is_left_behind() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    let zip = packed(root.path(), &[("SKILL.md", skill_md("a", "A."))]);
    let mut bytes = fs::read(&zip).unwrap();
    let at = bytes.windows(8).position(|window| window == b"SKILL.md").unwrap();
    bytes[at..at + 8].copy_from_slice(b"../up.md");
    put(root.path(), "slip.zip", &bytes);
    put(root.path(), "text.zip", "no archive");
    let temporary = tempfile::tempdir().unwrap();
    for name in ["slip.zip", "text.zip"] {
        let path = root.path().join(name);
        let mut command = program_as(
            "skillkeep_owner",
            &db,
            &["import", path.to_str().unwrap(), "--tenant", "acme"],
        );
        let ran = CommandOutput::of(command.env("TMPDIR", temporary.path()));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("was refused"), "{}", ran.err);
    }
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
    let skills: i64 = db.value("SELECT count(*) FROM skills").await;
    assert_eq!(skills, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_of_another_registry_is_imported_with_every_version() {
    let db = with_tenant().await;
    db.tenant("beta").await;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "x/a/SKILL.md", skill_md("a", "One."));
    put(root.path(), "y/a/SKILL.md", skill_md("a", "Other."));
    put(root.path(), "x/a/run.bin", b"\0\xFF");
    import(&db, root.path(), &[]);
    put(root.path(), "x/a/run.bin", b"\0\xFE");
    import(&db, root.path(), &[]);
    let out = root.path().join("export");
    let arguments = ["tenant", "export", "acme", "--out", out.to_str().unwrap()];
    assert_eq!(ended(&db, &arguments).code, 0);
    let arguments = ["import", out.to_str().unwrap(), "--tenant", "beta", "--json"];
    let ran = ended(&db, &arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.json_lines();
    assert_eq!(
        outcomes(&lines),
        [
            ("created", "a", "1"),
            ("updated", "a", "2"),
            ("created", "y-a", "1")
        ]
    );
    let digests: i64 = db
        .value("SELECT count(DISTINCT digest) FROM skill_versions")
        .await;
    assert_eq!(digests, 3);
    let again = ended(&db, &arguments).json_lines();
    assert!(
        again.iter().all(|line| line["outcome"] == "unchanged"),
        "{again:?}"
    );
    fs::write(
        out.join("files").join(
            fs::read_dir(out.join("files"))
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .file_name(),
        ),
        "other",
    )
    .unwrap();
    let ran = ended(
        &db,
        &[
            "import",
            out.to_str().unwrap(),
            "--tenant",
            "beta",
            "--source",
            "copy",
        ],
    );
    assert!(
        ran.code == 1 && ran.out.contains("do not have the digest"),
        "{ran:?}"
    );
}
