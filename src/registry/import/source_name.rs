//! Names of sources. Skills of sources with different names never share a skill of the registry.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use agent_skills::without_credentials;
use folder_handle::FolderHandle;

use crate::shown_text::is_unsafe;

/// Maximum length of a name in characters, as in the table `skills`.
const MAX_CHARS: usize = 300;
/// Maximum size of a Git configuration that is read, in bytes.
const MAX_GIT_CONFIG_BYTES: u64 = 1024 * 1024;

/// Why a text is not the name of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceNameError {
    #[error("the name of the source must have 1 to {MAX_CHARS} characters, all of them visible")]
    Invalid,
    /// A derived name.
    #[error("the path of the source has more than {MAX_CHARS} characters; name the source with --source")]
    TooLong,
}

/// Checks a name that the caller chose.
pub(super) fn given(name: &str) -> Result<String, SourceNameError> {
    let name = name.trim();
    let chars = name.chars().count();
    if (1..=MAX_CHARS).contains(&chars) && !name.contains(is_unsafe) {
        Ok(name.to_owned())
    } else {
        Err(SourceNameError::Invalid)
    }
}

/// The name of a folder or archive: the address of the Git repository around it, with the path in it after `//`; else its
/// path. `path` has no links.
pub(super) fn derived(path: &Path) -> Result<String, SourceNameError> {
    let name = git_name(path).unwrap_or_else(|| path.display().to_string());
    let name: String = name
        .chars()
        .map(|c| if is_unsafe(c) { '\u{FFFD}' } else { c })
        .collect();
    if name.chars().count() > MAX_CHARS {
        return Err(SourceNameError::TooLong);
    }
    Ok(name)
}

fn git_name(path: &Path) -> Option<String> {
    let (checkout, config) = path
        .ancestors()
        .find_map(|around| Some((around, git_config(around)?)))?;
    let address = address(&remote(&config)?)?;
    let inside = path.strip_prefix(checkout).ok()?.display().to_string();
    Some(if inside.is_empty() {
        address
    } else {
        format!("{address}//{inside}")
    })
}

/// The text of the configuration of the repository whose work tree is `folder`.
fn git_config(folder: &Path) -> Option<String> {
    let git = folder.join(".git");
    let kind = git.symlink_metadata().ok()?;
    let linked = if kind.is_dir() {
        git
    } else {
        // A linked work tree or a submodule: `gitdir: path`.
        let text = small_text(&git, kind.uid())?;
        let linked = folder.join(text.strip_prefix("gitdir:")?.trim());
        match small_text(&linked.join("commondir"), kind.uid()) {
            Some(common) => linked.join(common.trim()),
            None => linked,
        }
    };
    small_text(&linked.join("config"), kind.uid())
}

/// The text of a small file of the account `owner`. A `.git` file can lead to any repository of this machine, and the source's name is
/// published: only the owner's own repositories are read, as Git does (git-config(1), `safe.directory`).
fn small_text(path: &Path, owner: u32) -> Option<String> {
    let file = FolderHandle::open(path.parent()?)
        .ok()?
        .open_file(Path::new(path.file_name()?))
        .ok()?;
    if file.metadata().ok()?.uid() != owner {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_GIT_CONFIG_BYTES + 1)
        .read_to_string(&mut text)
        .ok()?;
    (text.len() as u64 <= MAX_GIT_CONFIG_BYTES).then_some(text)
}

/// The address of the remote `origin`, else of the first remote (git-config(1), "Syntax").
fn remote(config: &str) -> Option<String> {
    let mut section = String::new();
    let mut addresses: Vec<(String, String)> = Vec::new();
    for line in config.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or("").trim().to_owned();
        } else if let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("url")
            && section.starts_with("remote ")
        {
            addresses.push((section.clone(), value.trim().trim_matches('"').to_owned()));
        }
    }
    let origin = addresses
        .iter()
        .find(|(section, _)| section == "remote \"origin\"");
    origin.or(addresses.first()).map(|(_, address)| address.clone())
}

/// An address without user, password, scheme and `.git`, so that clones over SSH and HTTPS are one source:
/// `git@host:a/b.git` and `https://me:token@host/a/b` are `host/a/b`. A path is kept.
fn address(remote: &str) -> Option<String> {
    let remote = without_credentials(remote);
    let without_scheme = match remote.split_once("://") {
        Some(("file", path)) => path.to_owned(),
        Some((_, rest)) => rest.to_owned(),
        // scp's form; a path has no colon before its first slash.
        None => match remote.split_once(':') {
            Some((host, path)) if !host.contains('/') => {
                let host = host.rsplit('@').next().unwrap_or(host);
                format!("{host}/{}", path.trim_start_matches('/'))
            }
            Some(_) | None => remote,
        },
    };
    let address = without_scheme.trim_end_matches('/');
    let address = address
        .strip_suffix(".git")
        .unwrap_or(address)
        .trim_end_matches('/');
    (!address.is_empty()).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn clones_of_one_repository_have_one_name() {
        for remote in [
            "https://host/a/b",
            "https://host/a/b.git/",
            "https://me:secret@host/a/b.git?x=1",
            "ssh://git@host/a/b.git",
            "git@host:a/b.git",
            "host:/a/b",
        ] {
            assert_eq!(address(remote).as_deref(), Some("host/a/b"), "{remote}");
        }
        assert_eq!(address("/srv/git/b.git").as_deref(), Some("/srv/git/b"));
        assert_eq!(address("file:///srv/git/b").as_deref(), Some("/srv/git/b"));
        assert_eq!(address("https:///"), None);
    }

    #[test]
    fn origin_is_preferred_to_other_remotes() {
        let config = "[core]\n\turl = no\n[remote \"up\"]\n\turl = https://host/up\n[remote \"origin\"]\n\tfetch = x\n\tURL = \"https://host/own\"\n";
        assert_eq!(remote(config).as_deref(), Some("https://host/own"));
        assert_eq!(
            remote("[remote \"up\"]\nurl=https://host/up").as_deref(),
            Some("https://host/up")
        );
        assert_eq!(remote("[core]\nbare = false"), None);
    }

    #[test]
    fn checkout_is_named_by_its_remote_and_the_path_in_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("repo/.git/worktrees/w")).unwrap();
        fs::create_dir_all(root.join("repo/skills/a")).unwrap();
        fs::create_dir_all(root.join("linked")).unwrap();
        fs::write(
            root.join("repo/.git/config"),
            "[remote \"origin\"]\n\turl = https://token@host/a/b.git\n",
        )
        .unwrap();
        fs::write(root.join("repo/.git/worktrees/w/commondir"), "../..\n").unwrap();
        fs::write(root.join("linked/.git"), "gitdir: ../repo/.git/worktrees/w\n").unwrap();
        assert_eq!(derived(&root.join("repo")).unwrap(), "host/a/b");
        assert_eq!(derived(&root.join("repo/skills")).unwrap(), "host/a/b//skills");
        assert_eq!(derived(&root.join("linked")).unwrap(), "host/a/b");
        assert_eq!(derived(&root).unwrap(), root.display().to_string());
        fs::write(root.join("repo/.git/config"), "[core]\n").unwrap();
        assert_eq!(
            derived(&root.join("repo")).unwrap(),
            root.join("repo").display().to_string()
        );
    }

    #[test]
    fn repository_of_another_account_names_no_source() {
        if !nix::unistd::Uid::effective().is_root() {
            // Only root can give a file away.
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("private/.git")).unwrap();
        fs::create_dir_all(root.join("theirs")).unwrap();
        let config = "[remote \"origin\"]\n\turl = https://host/secret\n";
        fs::write(root.join("private/.git/config"), config).unwrap();
        let link = root.join("theirs/.git");
        fs::write(&link, "gitdir: ../private/.git\n").unwrap();
        assert_eq!(derived(&root.join("theirs")).unwrap(), "host/secret");
        std::os::unix::fs::chown(link, Some(65534), None).unwrap();
        let name = derived(&root.join("theirs")).unwrap();
        assert_eq!(name, root.join("theirs").display().to_string());
    }

    #[test]
    fn names_are_limited_to_the_column() {
        assert_eq!(given(" team-a "), Ok("team-a".to_owned()));
        for name in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(301)] {
            assert_eq!(given(name), Err(SourceNameError::Invalid), "{name:?}");
        }
        let long = PathBuf::from(format!("/{}", "x".repeat(300)));
        assert_eq!(derived(&long), Err(SourceNameError::TooLong));
    }
}
