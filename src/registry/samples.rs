//! The sample skills of `samples/`, built into the program for `skillkeep quickstart`.

use agent_skills::{SKILL_MD, SkillDocument, SkillFile, SkillFolder, SkillPath};

/// A sample skill, in the same form as one read from a folder.
pub struct Sample {
    pub folder: SkillFolder,
    /// The parsed `SKILL.md`.
    pub document: SkillDocument,
}

struct File {
    path: &'static str,
    bytes: &'static [u8],
    is_executable: bool,
}

macro_rules! samples {
    ($($name:literal: [$($path:literal $($executable:ident)?),+ $(,)?]),+ $(,)?) => {
        &[$(($name, &[$(File {
            path: $path,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/", $name, "/", $path)),
            is_executable: samples!(@ $($executable)?),
        }),+])),+]
    };
    (@) => { false };
    (@ executable) => { true };
}

static SAMPLES: &[(&str, &[File])] = samples! {
    "debug-flaky-test": ["SKILL.md", "scripts/repeat.sh" executable],
    "design-rest-endpoint": ["SKILL.md", "references/status-codes.md"],
    "review-sql-migration": ["SKILL.md", "references/locks.md"],
    "summarise-meeting": ["SKILL.md"],
    "write-release-notes": ["SKILL.md", "assets/breaking.png"],
};

/// All samples, by name.
///
/// # Errors
/// If a sample is not a valid skill; a unit test rules this out.
pub fn all() -> Result<Vec<Sample>, String> {
    SAMPLES.iter().map(|(name, files)| sample(name, files)).collect()
}

fn sample(name: &str, files: &[File]) -> Result<Sample, String> {
    let mut files = files
        .iter()
        .map(|file| {
            let path =
                SkillPath::parse(file.path).map_err(|error| format!("{name}/{}: {error}", file.path))?;
            Ok(SkillFile {
                path,
                bytes: file.bytes.to_vec(),
                is_executable: file.is_executable,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    files.sort_by(|one, other| one.path.as_str().cmp(other.path.as_str()));
    let skill_md = files
        .iter()
        .find(|file| file.path.as_str() == SKILL_MD)
        .map_or(&[][..], |file| &file.bytes);
    let document = agent_skills::read_document(skill_md, name).map_err(|error| format!("{name}: {error}"))?;
    let folder = SkillFolder {
        folder_name: name.to_owned(),
        parent_name: Some("samples".to_owned()),
        files,
        notes: Vec::new(),
    };
    Ok(Sample { folder, document })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn built_in_samples_equal_the_samples_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let on_disk: Vec<SkillFolder> = agent_skills::find_skill_folders(&folder)
            .map(|found| agent_skills::read_folder(&found.unwrap()).unwrap())
            .collect();
        let built_in: Vec<SkillFolder> = all().unwrap().into_iter().map(|sample| sample.folder).collect();
        assert_eq!(built_in, on_disk);
    }

    #[test]
    fn samples_follow_the_format() {
        for sample in all().unwrap() {
            assert!(sample.document.notes.is_empty(), "{:?}", sample.document.notes);
        }
    }
}
