//! A configuration file of another program: read whole, replaced atomically, with a backup.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use folder_handle::{FolderHandle, Untrusted, trusted_prefix};
use nix::unistd::Uid;

/// The largest configuration file that is read: 64 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The byte order mark that some editors write at the start of a file.
const BOM: &str = "\u{feff}";

/// Backups of one file in one second; after this many, the next one is an error.
const MAX_BACKUPS_PER_SECOND: u32 = 1000;

/// Entries of a folder that are searched for backups.
const MAX_FOLDER_ENTRIES: usize = 100_000;

/// Why a file cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is not UTF-8 text")]
    NotUtf8(PathBuf),
    #[error("{0} is larger than 64 MiB, so it is not a configuration file")]
    TooLarge(PathBuf),
    /// Another account could make the path lead to a file that only this account can change.
    #[error("{path} is not edited: {reason}")]
    Foreign { path: PathBuf, reason: String },
    #[error("another program has just changed {0}; run the command again")]
    Changed(PathBuf),
}

/// A configuration file and its content at the time when it was opened.
///
/// The file is read and replaced by the handle of its folder. Links are followed for as long as no other account can change the path;
/// from there on a link is an error, so that another account cannot make root edit a file that it could not edit itself.
#[derive(Debug)]
pub struct ConfigFile {
    /// The path after following links.
    path: PathBuf,
    /// The innermost folder of the path that exists.
    folder: FolderHandle,
    /// Folders to create in it, and the file's name.
    missing: Vec<OsString>,
    name: OsString,
    /// The name of the program that edits the file.
    editor: &'static str,
    content: Option<String>,
}

impl ConfigFile {
    /// Reads the file; it need not exist. `editor` is the name of the calling program, which becomes part of the names of
    /// the temporary file and of the backup.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than 64 MiB, or is not UTF-8, or if `path` is a link to a missing file;
    /// [`FileError::Foreign`] if another account could make the path lead to a file of its choice.
    pub fn open(path: &Path, editor: &'static str) -> Result<Self, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(io)?;
        let prefix = trusted_prefix(&absolute, None).map_err(|problem| match problem {
            Untrusted::Unreadable { source, .. } => io(source),
            other @ (Untrusted::OtherOwner { .. } | Untrusted::Writable { .. }) => foreign(path, &other),
        })?;
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if is_link && !prefix.rest.as_os_str().is_empty() {
            return Err(match &prefix.problem {
                Some(problem) => foreign(path, problem),
                // It leads to nothing.
                None => io(io::ErrorKind::NotFound.into()),
            });
        }
        let path = prefix.trusted.join(&prefix.rest);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io(io::ErrorKind::InvalidInput.into()));
        };
        let root = if prefix.trusted == path {
            parent.to_path_buf()
        } else {
            prefix.trusted
        };
        let inside = parent.strip_prefix(&root).unwrap_or(Path::new(""));
        let (folder, missing) = innermost(&root, inside).map_err(|source| match &prefix.problem {
            Some(problem) => foreign(&path, problem),
            None => io(source),
        })?;
        let file = Self {
            name: name.to_owned(),
            path: path.clone(),
            folder,
            missing,
            editor,
            content: None,
        };
        let content = if file.missing.is_empty() {
            file.read()?
        } else {
            None
        };
        Ok(Self { content, ..file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.content.is_some()
    }

    /// The text without its byte order mark; empty if the file does not exist.
    pub fn text(&self) -> &str {
        let text = self.content.as_deref().unwrap_or_default();
        text.strip_prefix(BOM).unwrap_or(text)
    }

    /// Replaces the file by this text atomically, and returns the path of the backup of the previous content. `kept` turns the
    /// previous content into that of the backup.
    ///
    /// A new file gets mode 0600. An existing file keeps its mode, without the bits of group and others if
    /// `contains_secret`.
    ///
    /// # Errors
    /// [`FileError::Changed`] if another program changed the file since [`Self::open`]; [`FileError::Io`] otherwise. The
    /// file is then unchanged.
    pub fn replace(
        &self,
        text: &str,
        contains_secret: bool,
        kept: impl Fn(&str) -> String,
    ) -> Result<Option<PathBuf>, FileError> {
        let io = |source| self.io_error(source);
        let created = create_folders(&self.folder, &self.missing).map_err(io)?;
        let folder = created.as_ref().unwrap_or(&self.folder);
        let existing = match &self.content {
            Some(_) => Some(folder.info(Path::new(&self.name)).map_err(io)?),
            None => None,
        };
        let mode = existing.map_or(0o600, |found| found.mode & 0o777);
        let mode = if contains_secret { mode & 0o600 } else { mode };
        // Root edits another user's file, whose folder that user owns.
        let owner = match existing {
            Some(found) => found.owner,
            None => folder.own_info().map_err(io)?.owner,
        };
        let new = NewFile { folder, mode, owner };
        let has_bom = self.content.as_deref().is_some_and(|text| text.starts_with(BOM));
        let bom = if has_bom { BOM } else { "" };
        let temporary = self.with_suffix(&format!("{}-new-{}", self.editor, std::process::id()));
        // Left by a process that was killed.
        folder.remove_file(&temporary).map_err(io)?;
        let outcome = new
            .write(&temporary, format!("{bom}{text}").as_bytes())
            .map_err(io)
            .and_then(|()| self.swap(&new, &temporary, kept));
        if outcome.is_err() {
            // The first error is the one to report.
            drop(folder.remove_file(&temporary));
        }
        outcome
    }

    fn swap(
        &self,
        new: &NewFile<'_>,
        temporary: &OsStr,
        kept: impl Fn(&str) -> String,
    ) -> Result<Option<PathBuf>, FileError> {
        if self.missing.is_empty() && self.read()? != self.content {
            return Err(FileError::Changed(self.path.clone()));
        }
        let io = |source| self.io_error(source);
        let backup = match &self.content {
            Some(content) => Some(self.back_up(new, &kept(content)).map_err(io)?),
            None => None,
        };
        new.folder.rename(temporary, &self.name).map_err(io)?;
        Ok(backup)
    }

    /// Writes a backup under a name that is not in use, because an older backup may be the only good one.
    fn back_up(&self, new: &NewFile<'_>, content: &str) -> io::Result<PathBuf> {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let suffix = format!("{}-backup-{time}", self.editor);
        let mut backup = self.with_suffix(&suffix);
        let mut number = 1;
        loop {
            match new.write(&backup, content.as_bytes()) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_BACKUPS_PER_SECOND =>
                {
                    number += 1;
                    backup = self.with_suffix(&format!("{suffix}-{number}"));
                }
                outcome => return outcome.map(|()| self.path.with_file_name(backup)),
            }
        }
    }

    /// Changes the text of every backup of the file with `change`, and returns how many were changed. For secrets, which must not be
    /// left in them.
    ///
    /// # Errors
    /// If a backup cannot be read or replaced.
    pub fn rewrite_backups(&self, change: impl Fn(&str) -> String) -> Result<usize, FileError> {
        let io = |source| self.io_error(source);
        let start = self.with_suffix(&format!("{}-backup-", self.editor));
        let mut changed = 0;
        for (name, kind) in self
            .folder
            .entries(Path::new(""), MAX_FOLDER_ENTRIES)
            .map_err(io)?
        {
            if !kind.is_file() || !name.as_bytes().starts_with(start.as_bytes()) {
                continue;
            }
            let found = self.folder.info(Path::new(&name)).map_err(io)?;
            let Some(text) = self.read_named(&name)? else {
                continue;
            };
            let after = change(&text);
            if after == text {
                continue;
            }
            let new = NewFile {
                folder: &self.folder,
                mode: found.mode & 0o777,
                owner: found.owner,
            };
            let temporary = self.with_suffix(&format!("{}-new-{}", self.editor, std::process::id()));
            self.folder.remove_file(&temporary).map_err(io)?;
            new.write(&temporary, after.as_bytes())
                .and_then(|()| self.folder.rename(&temporary, &name))
                .map_err(io)?;
            changed += 1;
        }
        Ok(changed)
    }

    fn read(&self) -> Result<Option<String>, FileError> {
        self.read_named(&self.name)
    }

    fn read_named(&self, name: &OsStr) -> Result<Option<String>, FileError> {
        let path = self.path.with_file_name(name);
        let io = |source| FileError::Io {
            path: path.clone(),
            source,
        };
        let file = match self.folder.open_file(Path::new(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
            Ok(file) => file,
        };
        let found = file.metadata().map_err(io)?;
        if found.len() > MAX_BYTES {
            return Err(FileError::TooLarge(path));
        }
        let folder_owner = self.folder.own_info().map_err(io)?.owner;
        if found.uid() != folder_owner && found.nlink() != 1 {
            let reason = "it is a second name of a file of another account (hard link)".to_owned();
            return Err(FileError::Foreign { path, reason });
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| FileError::NotUtf8(path))
    }

    fn with_suffix(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(format!(".{suffix}"));
        name
    }

    fn io_error(&self, source: io::Error) -> FileError {
        FileError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn foreign(path: &Path, problem: &Untrusted) -> FileError {
    let reason = match problem {
        Untrusted::OtherOwner { path, owner } => {
            format!(
                "{} belongs to the account with uid {owner}, and there is a link in the path; run the command as that account",
                path.display()
            )
        }
        Untrusted::Writable { path, .. } => {
            format!(
                "other accounts can write to {}, and there is a link in the path",
                path.display()
            )
        }
        Untrusted::Unreadable { path, source } => format!("{} cannot be examined: {source}", path.display()),
    };
    FileError::Foreign {
        path: path.to_owned(),
        reason,
    }
}

/// Opens the innermost folder of `inside` that exists, without following links, and returns the names of the others.
fn innermost(root: &Path, inside: &Path) -> io::Result<(FolderHandle, Vec<OsString>)> {
    let mut folder = FolderHandle::open(root)?;
    let mut names = inside.iter();
    while let Some(name) = names.next() {
        match folder.subfolder(Path::new(name)) {
            Ok(inner) => folder = inner,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = std::iter::once(name).chain(names);
                return Ok((folder, missing.map(ToOwned::to_owned).collect()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((folder, Vec::new()))
}

/// Creates folders, one in the other. Returns the last one.
fn create_folders(folder: &FolderHandle, names: &[OsString]) -> io::Result<Option<FolderHandle>> {
    let owner = folder.own_info()?;
    let mut created: Option<FolderHandle> = None;
    for name in names {
        let around = created.as_ref().unwrap_or(folder);
        let inner = match around.create_folder(name, 0o755) {
            Ok(inner) => {
                if Uid::effective().is_root() && owner.owner != 0 {
                    inner.give_to(owner.owner, owner.group)?;
                }
                inner
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                around.subfolder(Path::new(name))?
            }
            Err(error) => return Err(error),
        };
        created = Some(inner);
    }
    Ok(created)
}

/// How files are created in a folder.
struct NewFile<'a> {
    folder: &'a FolderHandle,
    mode: u32,
    /// Gets the file if root creates it.
    owner: u32,
}

impl NewFile<'_> {
    fn write(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.folder.create_new(Path::new(name), 0o600)?;
        file.write_all(bytes)?;
        if Uid::effective().is_root() && self.owner != 0 {
            let group = self.folder.own_info()?.group;
            std::os::unix::fs::fchown(&file, Some(self.owner), Some(group))?;
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_keeps_its_byte_order_mark_and_a_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, format!("{BOM}old")).unwrap();
        let file = ConfigFile::open(&path, "example").unwrap();
        assert_eq!(file.text(), "old");
        let backup = file.replace("new", false, str::to_owned).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{BOM}new"));
        assert_eq!(fs::read_to_string(&backup).unwrap(), format!("{BOM}old"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn file_changed_by_another_program_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        let file = ConfigFile::open(&path, "example").unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(matches!(
            file.replace("ours", false, str::to_owned),
            Err(FileError::Changed(_))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn secret_is_taken_out_of_every_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, "secret 1").unwrap();
        let hide = |text: &str| text.replace("secret", "hidden");
        let file = ConfigFile::open(&path, "example").unwrap();
        let older = file.replace("secret 2", false, str::to_owned).unwrap().unwrap();
        let file = ConfigFile::open(&path, "example").unwrap();
        let newer = file.replace("3", false, hide).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&newer).unwrap(), "hidden 2");
        assert_eq!(fs::read_to_string(&older).unwrap(), "secret 1");
        assert_eq!(file.rewrite_backups(hide).unwrap(), 1);
        assert_eq!(fs::read_to_string(&older).unwrap(), "hidden 1");
        assert_eq!(file.rewrite_backups(hide).unwrap(), 0);
    }

    #[test]
    fn link_in_a_path_of_another_account_is_refused() {
        use std::os::unix::fs::{chown, lchown, symlink};

        if !Uid::effective().is_root() {
            // Only root can be made to edit a file of its own by another account.
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let (home, own) = (root.path().join("home"), root.path().join("own"));
        fs::create_dir_all(home.join("real")).unwrap();
        fs::create_dir(&own).unwrap();
        fs::write(own.join("mcp.json"), "{}").unwrap();
        for (link, target) in [("folder", own.clone()), ("file.json", own.join("mcp.json"))] {
            symlink(target, home.join(link)).unwrap();
            lchown(home.join(link), Some(65534), None).unwrap();
        }
        fs::hard_link(own.join("mcp.json"), home.join("hard.json")).unwrap();
        chown(&home, Some(65534), None).unwrap();
        for path in ["folder/mcp.json", "file.json", "folder/new.json", "hard.json"] {
            let opened = ConfigFile::open(&home.join(path), "example");
            assert!(
                matches!(opened, Err(FileError::Foreign { .. })),
                "{path}: {opened:?}"
            );
        }
        let file = ConfigFile::open(&home.join("new/mcp.json"), "example").unwrap();
        file.replace("{}", true, str::to_owned).unwrap();
        assert_eq!(fs::metadata(home.join("new/mcp.json")).unwrap().uid(), 65534);
        assert_eq!(fs::metadata(home.join("new")).unwrap().uid(), 65534);
        assert_eq!(fs::read_dir(own).unwrap().count(), 1);
    }
}
