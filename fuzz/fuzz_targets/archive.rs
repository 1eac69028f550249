//! Reads arbitrary bytes as an archive of one skill. What is accepted is within the limits and can be written and read again.

#![no_main]

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{SKILL_MD, check_collisions, read_skill_archive, write_zip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let skill = match read_skill_archive(bytes, Some("skill.zip")) {
        Ok(skill) => skill,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let total: u64 = skill.files.iter().map(|file| file.bytes.len() as u64).sum();
    assert!(total <= MAX_TOTAL_BYTES && skill.files.len() <= MAX_FILES);
    assert!(skill.files.iter().any(|file| file.path.as_str() == SKILL_MD));
    assert!(check_collisions(skill.files.iter().map(|file| &file.path)).is_ok());
    let archive = write_zip(&skill.files).expect("the files of a skill do not collide");
    let again = read_skill_archive(&archive, None).expect("a written archive is accepted");
    assert_eq!(again.files, skill.files);
});
