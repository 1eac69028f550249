//! The database's disk is full while skills are imported.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use rand::Rng as _;
use serde_json::Value;

use crate::command::{CommandOutput, PROGRAM, program};

/// The largest file that the database may write, in blocks of 512 bytes: 40 MiB, more than a segment of its log.
const BLOCKS: u32 = 81_920;
const SKILLS: usize = 6;
/// Random bytes, which do not compress. Three of them fit.
const FILE_BYTES: usize = 11 << 20;

/// A database of its own, whose files cannot grow beyond a limit: to it, that is a full disk.
struct Cramped {
    holder: Child,
    folder: tempfile::TempDir,
}

impl Cramped {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Started as root, PostgreSQL runs as another account, which must get through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        let mut holder = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -f {BLOCKS} && exec \"$0\" postgres-hold --data-dir \"$1\""
            ))
            .arg(PROGRAM)
            .arg(&data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("ready "), "{line}");
        Self { holder, folder }
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(program(arguments).env("SKILLKEEP_DATA_DIR", self.folder.path().join("data")))
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

#[test]
fn what_does_not_fit_is_refused_whole_and_what_was_there_stays() {
    let cramped = Cramped::start();
    let skills = cramped.folder.path().join("skills");
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
    let ran = cramped.run(&["import", &folder, "--json"]);
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |outcome: &str| lines.iter().filter(|line| line["outcome"] == outcome).count();
    let (created, refused) = (count("created"), count("refused"));
    assert_eq!(created + refused, SKILLS, "{ran:?}");
    assert!(created >= 1 && refused >= 1, "{lines:?}");
    for line in lines.iter().filter(|line| line["outcome"] == "refused") {
        let reason = line["reason"].as_str().unwrap();
        assert!(!reason.is_empty(), "{line}");
    }
    // Those that are there are whole, and of the others there is nothing: seen through the registry itself.
    let key = cramped.run(&["key", "create", "--user", "ada@example.com"]).out;
    let listed = cramped.run(&[
        "tenant",
        "export",
        "default",
        "--out",
        &cramped.folder.path().join("out").display().to_string(),
    ]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let rows = |table: &str| -> usize {
        let path = cramped.folder.path().join(format!("out/tables/{table}.jsonl"));
        fs::read_to_string(path).unwrap_or_default().lines().count()
    };
    assert_eq!(
        (rows("skills"), rows("skill_versions"), rows("skill_files")),
        (created, created, created * 2)
    );
    let files = fs::read_dir(cramped.folder.path().join("out/files"))
        .unwrap()
        .count();
    assert_eq!(files, created * 2);
    assert!(key.starts_with("skeep_"), "small things still fit");
    // Again: the same are unchanged, the same are refused.
    let again = cramped.run(&["import", &folder, "--json"]);
    assert_eq!(again.out.matches("\"unchanged\"").count(), created, "{again:?}");
}
