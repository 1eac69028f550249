//! The folder that `skillkeep tenant export` writes, as a source: every published version of every active skill.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{SkillFile, SkillFolder, SkillPath};
use folder_handle::FolderHandle;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ids::Digest;

/// Maximum length of a row in bytes: a front matter of 64 KiB with everything around it, escaped.
const MAX_ROW_BYTES: u64 = 1024 * 1024;
/// Maximum number of rows of a table.
const MAX_ROWS: usize = 2_000_000;

#[derive(Debug, Deserialize)]
struct SkillRow {
    id: String,
    slug: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct VersionRow {
    id: String,
    skill_id: String,
    ordinal: i32,
    version: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct FileRow {
    version_id: String,
    path: String,
    digest: String,
    mode: String,
}

/// A version in an export.
#[derive(Debug)]
pub(super) struct ExportedVersion {
    pub(super) slug: String,
    pub(super) label: String,
    files: Vec<FileRow>,
}

#[derive(Debug)]
pub(super) struct ExportedTenant {
    /// Files are opened from its handle: another account may own the export.
    root: FolderHandle,
    /// By slug, oldest version first.
    pub(super) versions: Vec<ExportedVersion>,
}

impl ExportedTenant {
    pub(super) fn is_at(root: &Path) -> bool {
        root.join("manifest.json").is_file()
            && root.join("tables/skill_versions.jsonl").is_file()
            && root.join("files").is_dir()
    }

    /// # Errors
    /// What is wrong with the export.
    pub(super) fn open(root: &Path) -> Result<Self, String> {
        let root = FolderHandle::open(root)
            .map_err(|error| format!("{} cannot be read: {error}", root.display()))?;
        let slugs: HashMap<String, String> = rows::<SkillRow>(&root, "skills")?
            .into_iter()
            .filter(|skill| skill.status == "active")
            .map(|skill| (skill.id, skill.slug))
            .collect();
        let mut versions: BTreeMap<(String, i32), (String, ExportedVersion)> = BTreeMap::new();
        for row in rows::<VersionRow>(&root, "skill_versions")? {
            let Some(slug) = slugs.get(&row.skill_id).filter(|_| row.status == "published") else {
                continue;
            };
            let version = ExportedVersion {
                slug: slug.clone(),
                label: row.version,
                files: Vec::new(),
            };
            versions.insert((slug.clone(), row.ordinal), (row.id, version));
        }
        let mut files: HashMap<String, Vec<FileRow>> = HashMap::new();
        for row in rows::<FileRow>(&root, "skill_files")? {
            files.entry(row.version_id.clone()).or_default().push(row);
        }
        let versions = versions
            .into_values()
            .map(|(id, version)| ExportedVersion {
                files: files.remove(&id).unwrap_or_default(),
                ..version
            })
            .collect();
        Ok(Self { root, versions })
    }

    /// Reads the files of a version.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(super) fn read(&self, version: &ExportedVersion) -> Result<SkillFolder, String> {
        if version.files.len() > MAX_FILES {
            return Err(format!("the version has more than {MAX_FILES} files"));
        }
        let mut left = MAX_TOTAL_BYTES;
        let mut files = Vec::with_capacity(version.files.len());
        for row in &version.files {
            let path = SkillPath::parse(&row.path).map_err(|error| format!("{}: {error}", row.path))?;
            let bytes = self
                .bytes(&row.digest, left)
                .map_err(|reason| format!("{path}: {reason}"))?;
            left = left.saturating_sub(bytes.len() as u64);
            files.push(SkillFile {
                path,
                bytes,
                is_executable: row.mode == "executable",
            });
        }
        SkillFolder::from_files(&version.slug, files).map_err(|error| error.to_string())
    }

    /// The bytes with a digest, written as PostgreSQL writes `bytea`: `\x` and hexadecimal digits.
    fn bytes(&self, digest: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        let hex = digest.strip_prefix("\\x").unwrap_or(digest);
        // Also keeps the path inside the export.
        let expected: Digest = format!("sha256:{hex}")
            .parse()
            .map_err(|_| "its digest is invalid".to_owned())?;
        let path = Path::new("files").join(hex);
        let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
        let file = self.root.open_file(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(max_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > max_bytes {
            return Err(format!("the version has more than {MAX_TOTAL_BYTES} bytes"));
        }
        if Digest::of(&bytes) == expected {
            Ok(bytes)
        } else {
            Err("its bytes do not have the digest that the export gives".to_owned())
        }
    }
}

/// The rows of a table; none if the export has no file for it, because the table was empty.
fn rows<T: DeserializeOwned>(root: &FolderHandle, table: &str) -> Result<Vec<T>, String> {
    let path = Path::new("tables").join(format!("{table}.jsonl"));
    let failed = |reason: String| format!("{}: {reason}", path.display());
    let file = match root.open_file(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut reader = BufReader::new(file);
    let mut rows = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_ROW_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(error.to_string()))?;
        if read == 0 {
            return Ok(rows);
        }
        if line.len() as u64 >= MAX_ROW_BYTES || rows.len() >= MAX_ROWS {
            return Err(failed(format!(
                "row {} is too long, or there are too many",
                rows.len() + 1
            )));
        }
        let row = serde_json::from_slice(&line)
            .map_err(|error| failed(format!("row {}: {error}", rows.len() + 1)))?;
        rows.push(row);
    }
}
