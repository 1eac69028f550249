//! Imports whole folders of real skills, and checks that an install gives the same files.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-folders.tar.gz`. Without it, the test uses the sample skills.

use std::path::{Path, PathBuf};

use crate::harness::{Client, TestDb};
use crate::import::{assert_installs_what_is_on_disk, import, samples};

/// Approximate number of skills that are compared file by file.
const COMPARED_SKILLS: usize = 120;

fn unpack(corpus: &Path) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let archive = corpus.join("skills-folders.tar.gz");
    let file = std::fs::File::open(&archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(root.path())
        .unwrap();
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_files_equal_the_imported_ones() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let corpus = std::env::var_os("SKILLKEEP_CORPUS").map(PathBuf::from);
    let unpacked = corpus.as_deref().map(unpack);
    let (root, expected) = match &unpacked {
        // 12 of the 412 are inside the folders of others.
        Some(folder) => (folder.path().to_path_buf(), 412),
        None => (samples(), 5),
    };

    let (ran, lines) = import(&db, &root, &[]);
    assert_eq!(lines.len(), expected);
    let (refused, stored): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["outcome"] == "refused");
    assert_eq!(ran.code, i32::from(!refused.is_empty()), "{}", ran.err);
    for line in refused {
        assert!(
            line["reason"].as_str().is_some_and(|reason| reason.len() > 10),
            "{line}"
        );
    }

    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let step = stored.len().div_ceil(COMPARED_SKILLS).max(1);
    let (mut skills, mut files) = (0, 0);
    for line in stored.iter().step_by(step) {
        let source = line["source"].as_str().unwrap();
        files +=
            assert_installs_what_is_on_disk(&client, line["skill"].as_str().unwrap(), &root.join(source))
                .await;
        skills += 1;
    }
    assert!(skills >= expected.min(100), "only {skills} skills were compared");
    assert!(files > skills, "no skill has more than one file");
}
