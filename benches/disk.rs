//! The time of an install over loopback, written to disk with fsync, and of a sync of 200 skills that are all current.
//!
//! Part 1 asks a `skillkeep serve` of this build for a skill of 10 files, downloads, verifies, writes and confirms it, and removes it
//! again, one install after the other. `SKILLKEEP_BENCH_INSTALLS` is their number (default 200). Part 2 runs `skillkeep sync --frozen` as
//! a process, `SKILLKEEP_BENCH_SYNCS` times (default 20). Temporary folders are made in `TMPDIR`: put it on the disk that is meant.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark prints its results and may panic"
)]
#![allow(dead_code, reason = "the benchmark `calls` shares fixture and load")]

#[path = "calls/fixture.rs"]
mod fixture;
#[path = "calls/load.rs"]
mod load;

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assistants::skill_targets::{Level, SkillAssistant};
use fixture::{Fixture, number};
use load::{Post, http};
use skillkeep::bridge::{Remote, RemoteOptions};
use skillkeep::local_install::{Destination, InstallOptions, Machine, install, remove_copy, scan};

type BenchResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

const FILES: usize = 10;
const SKILLS: usize = 200;

#[tokio::main]
async fn main() -> BenchResult<()> {
    let installs = number("SKILLKEEP_BENCH_INSTALLS", 200)?;
    let syncs = number("SKILLKEEP_BENCH_SYNCS", 20)?;
    let fixture = Fixture::new().await?;
    let result = measure(&fixture, installs, syncs).await;
    fixture.close()?;
    result
}

async fn measure(fixture: &Fixture, installs: u64, syncs: u64) -> BenchResult<()> {
    let skills = tempfile::tempdir()?;
    write_skills(skills.path())?;
    fixture.admin(&[
        "import",
        &skills.path().display().to_string(),
        "--tenant",
        "default",
    ])?;
    let user = tempfile::tempdir()?;
    let (home, project) = (user.path().join("home"), user.path().join("project"));
    std::fs::create_dir(&home)?;
    std::fs::create_dir(&project)?;
    measure_installs(fixture, &home, &project, installs).await?;
    measure_syncs(fixture, &home, &project, syncs)
}

/// 200 skills of 10 files of 2 KB each.
fn write_skills(folder: &Path) -> BenchResult<()> {
    for skill in 0..SKILLS {
        let folder = folder.join(format!("bench-{skill}"));
        std::fs::create_dir(&folder)?;
        let skill_md = format!(
            "---\nname: bench-{skill}\ndescription: Skill {skill} of the benchmark.\n---\n\nDo it.\n"
        );
        std::fs::write(folder.join("SKILL.md"), skill_md)?;
        for file in 1..FILES {
            let text = format!("Line of file {file} of skill {skill}.\n").repeat(60);
            std::fs::write(folder.join(format!("file-{file}.md")), text)?;
        }
    }
    Ok(())
}

async fn measure_installs(fixture: &Fixture, home: &Path, project: &Path, installs: u64) -> BenchResult<()> {
    let options = RemoteOptions {
        url: &url(fixture),
        allow_http: false,
        ca_file: None,
    };
    let remote = Remote::new(&options, &fixture.key)?;
    let machine = Machine {
        home: Some(home.to_owned()),
        project: Some(project.to_owned()),
    };
    let destination = Destination {
        machine: machine.clone(),
        assistants: vec![SkillAssistant::Agents],
        level: Level::Project,
        options: InstallOptions::default(),
        place: None,
    };
    let mut times = Vec::new();
    for _ in 0..installs {
        let started = Instant::now();
        install(&remote, "bench-0", None, &destination).await?;
        times.push(started.elapsed());
        for here in scan(&machine)? {
            remove_copy(&machine, &here, true)?;
        }
    }
    print("install of 10 files over loopback, with fsync", times);
    Ok(())
}

fn measure_syncs(fixture: &Fixture, home: &Path, project: &Path, syncs: u64) -> BenchResult<()> {
    let mut manifest = format!("[registry]\nurl = \"{}\"\n\n[skills]\n", url(fixture));
    for skill in 0..SKILLS {
        manifest.push_str(&format!("bench-{skill} = \"*\"\n"));
    }
    std::fs::write(project.join("skillkeep.toml"), manifest)?;
    let sync = |arguments: &[&str]| -> BenchResult<Duration> {
        let started = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_skillkeep"))
            .arg("sync")
            .args(arguments)
            .current_dir(project)
            .env("HOME", home)
            .env("SKILLKEEP_API_KEY", &fixture.key)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(started.elapsed())
    };
    println!("first sync of 200 skills: {:.1} s", sync(&[])?.as_secs_f64());
    let times = (0..syncs)
        .map(|_| sync(&["--frozen"]))
        .collect::<BenchResult<Vec<_>>>()?;
    print("sync of 200 skills that are current", times);
    Ok(())
}

fn url(fixture: &Fixture) -> String {
    format!("http://127.0.0.1:{}", fixture.port)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| {
        times[((times.len() as f64 * share) as usize).min(times.len() - 1)].as_secs_f64() * 1000.0
    };
    println!(
        "{what}: p50 {:.1} ms, p99 {:.1} ms, {} runs",
        at(0.5),
        at(0.99),
        times.len()
    );
}
