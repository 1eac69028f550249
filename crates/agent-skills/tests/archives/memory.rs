//! Peak memory of a process that reads every hostile archive, and of one that extracts a large valid one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use agent_skills::{ArchiveLimits, extract_archive, read_skill_archive};
use tar::Header;

use crate::hostile::{all_cases, import_limits};
use crate::zip_builder::{Entry, Zip};

const MAX_PEAK_KIB: u64 = 256 * 1024;
/// Set in the process that is measured: a folder with archives.
const FOLDER: &str = "AGENT_SKILLS_MEMORY_TEST";

/// Runs `run` with `folder` in a process of its own. Returns the peak of its memory in KiB, or `None` inside that process.
fn peak_kib(test: &str, folder: &Path, run: fn(&Path)) -> Option<u64> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        run(Path::new(&folder));
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        eprintln!("peak {}", peak.trim());
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let peak = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
    let kib = peak.split(' ').next().unwrap().parse().unwrap();
    println!("{test}: {kib} KiB");
    Some(kib)
}

/// 100,000 entries with long names; refused at the first local header, after the whole directory was read.
fn many_long_names() -> Vec<u8> {
    let mut entries: Vec<_> = (0..99_990)
        .map(|n| Entry::stored(format!("{}/{n:0145}", n % 7), b""))
        .collect();
    entries[0].local_name = Some(b"x".to_vec());
    Zip {
        entries,
        with_zip64: true,
        count: Some(u16::MAX),
        ..Zip::default()
    }
    .build()
}

fn read_all(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(read_skill_archive(&fs::read(&path).unwrap(), None).is_err());
        let target = tempfile::tempdir().unwrap();
        let is_full_size = path.ends_with("many-long-names");
        let limits = if is_full_size {
            ArchiveLimits::IMPORT
        } else {
            import_limits()
        };
        let found = extract_archive(File::open(&path).unwrap(), target.path(), &limits);
        if is_full_size {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("disagree about its name"), "{error}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_archives_need_less_than_256_mib() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os(FOLDER).is_none() {
        for (number, case) in all_cases().iter().enumerate() {
            fs::write(folder.path().join(number.to_string()), (case.build)()).unwrap();
        }
        fs::write(folder.path().join("many-long-names"), many_long_names()).unwrap();
    }
    let test = "memory::hostile_archives_need_less_than_256_mib";
    let peak = peak_kib(test, folder.path(), read_all);
    assert!(peak.is_none_or(|kib| kib < MAX_PEAK_KIB), "{peak:?}");
}

/// A tar archive of one large file that exists nowhere.
struct Generated {
    header: Header,
    content_bytes: u64,
    position: u64,
}

impl Generated {
    fn end(&self) -> u64 {
        512 + self.content_bytes + 1024
    }
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (from, to) = if self.position < 512 {
            (self.position, 512)
        } else if self.position < 512 + self.content_bytes {
            (self.position, 512 + self.content_bytes)
        } else {
            (self.position, self.end())
        };
        let len = buffer.len().min(usize::try_from(to - from).unwrap());
        if to == 512 {
            let start = usize::try_from(from).unwrap();
            buffer[..len].copy_from_slice(&self.header.as_bytes()[start..start + len]);
        } else {
            buffer[..len].fill(u8::from(to != self.end()));
        }
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Generated {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.position = match position {
            SeekFrom::Start(at) => at,
            SeekFrom::End(_) => self.end(),
            SeekFrom::Current(_) => self.position,
        };
        Ok(self.position)
    }
}

fn extract_large(target: &Path) {
    let content_bytes = 300 << 20;
    let mut header = Header::new_ustar();
    header.set_path("large").unwrap();
    header.set_mode(0o644);
    header.set_size(content_bytes);
    header.set_cksum();
    let archive = Generated {
        header,
        content_bytes,
        position: 0,
    };
    let report = extract_archive(archive, target, &ArchiveLimits::IMPORT).unwrap();
    assert_eq!(report.bytes, content_bytes);
}

#[cfg(target_os = "linux")]
#[test]
fn extraction_of_300_mib_streams() {
    let target = tempfile::tempdir().unwrap();
    let peak = peak_kib(
        "memory::extraction_of_300_mib_streams",
        target.path(),
        extract_large,
    );
    assert!(peak.is_none_or(|kib| kib < MAX_PEAK_KIB / 4), "{peak:?}");
}
