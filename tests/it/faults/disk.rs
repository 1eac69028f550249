//! The database's disk becomes full during an import.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use rand::Rng as _;
use serde_json::Value;

use crate::command::{CommandOutput, PROGRAM, program};

/// The limit for the size of each file of the database, in blocks of 512 bytes: 40 MiB, more than one WAL segment (16 MiB).
const MAX_FILE_BLOCKS: u32 = 81_920;
const SKILLS: usize = 6;
/// Random bytes, which do not compress. Three files of this size fit.
const FILE_BYTES: usize = 11 << 20;

/// An embedded PostgreSQL whose files cannot exceed a size limit, which it handles like a full disk.
struct FullDisk {
    database: Child,
    folder: tempfile::TempDir,
}

impl FullDisk {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // If root starts PostgreSQL, it runs as another account, which must be able to traverse this folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        let mut database = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -f {MAX_FILE_BLOCKS} && exec \"$0\" postgres-hold --data-dir \"$1\""
            ))
            .arg(PROGRAM)
            .arg(&data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(database.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("ready "), "{line}");
        Self { database, folder }
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(program(arguments).env("SKILLKEEP_DATA_DIR", self.folder.path().join("data")))
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        drop(self.database.stdin.take());
        let _ = self.database.wait();
    }
}

#[test]
fn import_on_a_full_disk_is_atomic_per_skill() {
    let full_disk = FullDisk::start();
    let skills = full_disk.folder.path().join("skills");
    for number in 0..SKILLS {
        let skill = skills.join(format!("skill-{number}"));
        fs::create_dir_all(&skill).unwrap();
        let text =
            format!("---\nname: skill-{number}\ndescription: Number {number}.\n---\n\n# Number {number}\n");
        fs::write(skill.join("SKILL.md"), text).unwrap();
        let mut bytes = vec![0; FILE_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        fs::write(skill.join("data.bin"), bytes).unwrap();
    }
    let folder = skills.display().to_string();
    let import = full_disk.run(&["import", &folder, "--json"]);
    let lines: Vec<Value> = import
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |outcome: &str| lines.iter().filter(|line| line["outcome"] == outcome).count();
    let (created, refused) = (count("created"), count("refused"));
    assert_eq!(created + refused, SKILLS, "{import:?}");
    assert!(created >= 1 && refused >= 1, "{lines:?}");
    for line in lines.iter().filter(|line| line["outcome"] == "refused") {
        let reason = line["reason"].as_str().unwrap();
        assert!(!reason.is_empty(), "{line}");
    }
    // The export shows that each skill was imported completely or not at all.
    let key = full_disk.run(&["key", "create", "--user", "ada@example.com"]).out;
    let export = full_disk.run(&[
        "tenant",
        "export",
        "default",
        "--out",
        &full_disk.folder.path().join("out").display().to_string(),
    ]);
    assert_eq!(export.code, 0, "{export:?}");
    let rows = |table: &str| -> usize {
        let path = full_disk.folder.path().join(format!("out/tables/{table}.jsonl"));
        fs::read_to_string(path).unwrap_or_default().lines().count()
    };
    assert_eq!(
        (rows("skills"), rows("skill_versions"), rows("skill_files")),
        (created, created, created * 2)
    );
    let files = fs::read_dir(full_disk.folder.path().join("out/files"))
        .unwrap()
        .count();
    assert_eq!(files, created * 2);
    assert!(key.starts_with("skeep_"), "small rows still fit");
    // A second import changes nothing.
    let again = full_disk.run(&["import", &folder, "--json"]);
    assert_eq!(again.out.matches("\"unchanged\"").count(), created, "{again:?}");
}
