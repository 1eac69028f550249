//! Times of an installation with its waits for the disk, of updates, and of the check of 200 installed skills.
//!
//! Uses the folder for temporary files (`TMPDIR`), so that its file system is what is measured.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints its results and ends at the first error"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use agent_skills::{Digest, ManifestEntry, SkillPath, manifest_digest};
use skill_installer::{
    FolderName, InstallRecord, Options, Release, ReleaseFile, SkillsFolder, VerifiedRelease, list,
    plan_install, remove,
};

const ROUNDS: usize = 100;
const SKILLS: usize = 200;
const FILES: usize = 10;
const FILE_BYTES: usize = 4096;

fn main() {
    let root = tempfile::tempdir().expect("a temporary folder can be created");
    let folder = SkillsFolder::open(root.path(), Path::new("skills")).expect("the folder can be opened");
    let (one, two) = (release("1.0.0"), release("2.0.0"));
    let pdf = name("pdf");
    let (mut new, mut update, mut removal) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        new.push(time(|| install(&folder, &pdf, &one)));
        update.push(time(|| install(&folder, &pdf, &two)));
        removal.push(time(|| {
            remove(&folder, &pdf, &Options::default()).expect("the skill can be removed");
        }));
    }
    print(&format!("install {FILES} files"), new);
    print("update", update);
    print("remove", removal);
    for number in 0..SKILLS {
        install(&folder, &name(&format!("skill-{number}")), &one);
    }
    let mut checks = Vec::new();
    for _ in 0..20 {
        checks.push(time(|| {
            let skills = list(&folder).expect("the skills can be listed");
            assert!(skills.len() == SKILLS && skills.iter().all(|skill| skill.drift.is_clean()));
        }));
    }
    print(&format!("verify {SKILLS} skills"), checks);
}

fn name(text: &str) -> FolderName {
    text.parse().expect("the name is valid")
}

fn install(folder: &SkillsFolder, name: &FolderName, release: &VerifiedRelease) {
    let options = Options::default();
    plan_install(folder, name, release, &options)
        .and_then(|plan| {
            plan.apply(
                folder,
                release,
                &InstallRecord::at("2026-11-26T12:00:00Z"),
                &options,
            )
        })
        .expect("the skill can be installed");
}

/// A release of 10 files of 4 KiB.
fn release(version: &str) -> VerifiedRelease {
    let paths = (1..FILES).map(|number| format!("docs/{number}.md"));
    let files: Vec<ReleaseFile> = std::iter::once("SKILL.md".to_owned())
        .chain(paths)
        .map(|path| {
            let bytes = format!("{version} {path} ").repeat(FILE_BYTES).into_bytes();
            let bytes: Vec<u8> = bytes.into_iter().take(FILE_BYTES).collect();
            ReleaseFile {
                digest: Digest::of(&bytes),
                size: FILE_BYTES as u64,
                executable: false,
                path,
                bytes,
            }
        })
        .collect();
    let paths: Vec<SkillPath> = files
        .iter()
        .map(|file| SkillPath::parse(&file.path).expect("the path is valid"))
        .collect();
    let entries = paths.iter().zip(&files).map(|(path, file)| ManifestEntry {
        path,
        digest: file.digest,
        size_bytes: file.size,
        is_executable: file.executable,
    });
    let digest = manifest_digest(entries);
    let release = Release {
        registry: "https://skills.example.com".to_owned(),
        skill: "pdf".to_owned(),
        version: version.to_owned(),
        digest,
        files,
        signature: None,
    };
    release.verify().expect("the release is consistent")
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn print(title: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len() - 1);
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "{title:<18} p50 {:.2} ms   p99 {:.2} ms   of {}",
        at(50),
        at(99),
        times.len()
    );
}
