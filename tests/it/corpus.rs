//! Whole folders of real skills, from import to install, digest by digest.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-folders.tar.gz`. Without it the same is checked on the samples, so
//! that this test never passes without having looked at anything.

use std::path::{Path, PathBuf};

use crate::harness::{Client, TestDb};
use crate::import::{assert_installs_what_is_on_disk, import, samples};

/// As many skills as are compared file by file.
const COMPARED: usize = 120;

fn unpacked(corpus: &Path) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let archive = corpus.join("skills-folders.tar.gz");
    let file = std::fs::File::open(&archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(root.path())
        .unwrap();
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn real_skills_are_installed_as_they_lie_on_disk() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let corpus = std::env::var_os("SKILLKEEP_CORPUS").map(PathBuf::from);
    let kept = corpus.as_deref().map(unpacked);
    let (root, expected) = match &kept {
        Some(kept) => (kept.path().to_path_buf(), 400),
        None => (samples(), 5),
    };

    let (ran, lines) = import(&db, &root, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(lines.len(), expected);
    let (refused, stored): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["outcome"] == "refused");
    for line in refused {
        assert!(
            line["reason"].as_str().is_some_and(|why| why.len() > 10),
            "{line}"
        );
    }

    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let step = stored.len().div_ceil(COMPARED).max(1);
    let (mut skills, mut files) = (0, 0);
    for line in stored.iter().step_by(step) {
        let source = line["source"].as_str().unwrap();
        files +=
            assert_installs_what_is_on_disk(&client, line["skill"].as_str().unwrap(), &root.join(source))
                .await;
        skills += 1;
    }
    assert!(skills >= expected.min(100), "only {skills} skills were compared");
    assert!(files > skills, "some skills have more than one file");
}
