//! Archives with random damage are refused or read within the limits. They never cause a panic.

use std::io::Cursor;

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{ArchiveLimits, extract_archive, read_skill_archive};
use proptest::prelude::*;

use crate::SKILL_MD;
use crate::tar_builder::{Tar, gzip};
use crate::zip_builder::{Entry, Zip};

fn seeds() -> [Vec<u8>; 3] {
    let zip = Zip::skill([
        Entry::deflated("references/a.md", &b"text ".repeat(50)).streamed(),
        Entry::stored("d/", b""),
        Entry::bomb("zeros", 2),
    ])
    .build();
    let tar = Tar::skill()
        .pax(b'x', &[("path", "references/long.md")])
        .file("long", b"text")
        .entry("././@LongLink", b'L', b"other\0", |_| ())
        .file("other", &[7; 700])
        .finish();
    [zip, gzip(&tar), tar]
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(usize, u8),
    /// A little-endian number, as most fields are.
    SetU32(usize, u32),
    Remove(usize, usize),
    Repeat(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![
        Just(0),
        Just(u32::MAX),
        Just(u32::MAX - 1),
        Just(0xFFFF),
        0..2000_u32
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<usize>(), number).prop_map(|(at, number)| Mutation::SetU32(at, number)),
        (any::<usize>(), 1..600_usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
        (any::<usize>(), 1..600_usize).prop_map(|(at, len)| Mutation::Repeat(at, len)),
        any::<usize>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let len = bytes.len();
    if len < 4 {
        return;
    }
    let range = |at: usize, count: usize| at % len..(at % len + count).min(len);
    match *mutation {
        Mutation::Set(at, byte) => bytes[at % len] = byte,
        Mutation::SetU32(at, number) => {
            let at = at % (len - 3);
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        Mutation::Remove(at, count) => drop(bytes.drain(range(at, count))),
        Mutation::Repeat(at, count) => {
            let copy = bytes[range(at, count)].to_vec();
            bytes.splice(at % len..at % len, copy);
        }
        Mutation::Truncate(at) => bytes.truncate(at % len),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_archive_is_refused_or_within_the_limits(
        seed in 0..3_usize,
        mutations in prop::collection::vec(mutation(), 1..5),
    ) {
        let mut bytes = seeds()[seed].clone();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        let is_tar = seed == 2;
        // Damage inside the compressed data of a gzip is found by its checksum; so damage what it contains, too.
        for bytes in [bytes.clone(), if is_tar { gzip(&bytes) } else { bytes }] {
            if let Ok(skill) = read_skill_archive(&bytes, None) {
                let total: u64 = skill.files.iter().map(|file| file.bytes.len() as u64).sum();
                prop_assert!(total <= MAX_TOTAL_BYTES && skill.files.len() <= MAX_FILES);
                prop_assert!(!skill.skill_md().is_empty() || seed < 3);
            }
            let target = tempfile::tempdir().unwrap();
            let limits = ArchiveLimits { max_unpacked_bytes: 1 << 20, ..ArchiveLimits::IMPORT };
            if let Ok(report) = extract_archive(Cursor::new(&bytes), target.path(), &limits) {
                prop_assert!(report.bytes <= 1 << 20);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(start in prop::sample::select(vec![&b"PK\x03\x04"[..], b"PK\x05\x06", b"\x1F\x8B\x08", b""]),
                                   rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [start, &rest].concat();
        prop_assert!(read_skill_archive(&bytes, None).is_err());
    }
}

#[test]
fn seeds_are_valid_but_for_the_bomb() {
    let [zip, tar_gz, tar] = seeds();
    assert!(read_skill_archive(&zip, None).is_err());
    assert!(zip.windows(SKILL_MD.len()).any(|window| window == SKILL_MD));
    assert_eq!(read_skill_archive(&tar_gz, None).unwrap().files.len(), 3);
    assert_eq!(read_skill_archive(&tar, None).unwrap().files.len(), 3);
}
