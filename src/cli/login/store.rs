//! Where the API keys of logins are kept: in the system's keyring where its command-line program is installed, else in a file that
//! only its owner can read.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use folder_handle::FolderHandle;
use serde::{Deserialize, Serialize};

use crate::cli::api_key;
use crate::cli::files::file_error;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::Machine;
use crate::tenancy::ApiKey;

/// The file's name in the configuration folder.
const FILE: &str = "logins.json";
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The name under which the keyring shows the keys.
const SERVICE: &str = "skillkeep";

/// The registries that a user is logged in to.
#[derive(Debug, Default)]
pub(in crate::cli) struct Logins {
    folder: PathBuf,
    stored: Stored,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// The registry of commands that name none: the last one that the user logged in to.
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    registries: BTreeMap<String, Login>,
}

/// Without a key, it is in the keyring.
#[derive(Serialize, Deserialize)]
struct Login {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.api_key.is_some() {
            "Login(file)"
        } else {
            "Login(keyring)"
        })
    }
}

impl Logins {
    /// # Errors
    /// If the file cannot be read, or other accounts can read or change it.
    pub(in crate::cli) fn read() -> Result<Self, CliError> {
        let Ok(folder) = Machine::of_environment(None).config_folder() else {
            return Ok(Self::default());
        };
        let path = folder.join(FILE);
        let stored = match read(&folder) {
            Ok(None) => Stored::default(),
            Ok(Some(text)) => serde_json::from_str(&text).map_err(|error| {
                let message = format!(
                    "{} is not readable: {error}; remove it and log in again",
                    path.display()
                );
                CliError::new(CliErrorKind::Refused, message)
            })?,
            Err(error) => return Err(file_error("cannot read", &path, &error)),
        };
        Ok(Self { folder, stored })
    }

    /// The registry of commands that name none.
    pub(in crate::cli) fn default_url(&self) -> Option<&str> {
        self.stored.default.as_deref()
    }

    /// The key for a registry; `None` if the user is not logged in to it.
    ///
    /// # Errors
    /// If the keyring does not give the key.
    pub(in crate::cli) fn key(&self, url: &str) -> Result<Option<ApiKey>, CliError> {
        let url = normal(url);
        match self.stored.registries.get(&url) {
            None => Ok(None),
            Some(Login { api_key: Some(text) }) => api_key::parse(text).map(Some),
            Some(Login { api_key: None }) => match keyring::get(&url) {
                Some(text) => api_key::parse(text.trim()).map(Some),
                None => {
                    let message =
                        format!("the keyring does not give the API key of {url}; unlock it, or log in again");
                    Err(CliError::new(CliErrorKind::Refused, message))
                }
            },
        }
    }

    /// Keeps a key, and returns where, for people.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(in crate::cli) fn set(
        &mut self,
        url: &str,
        key: &ApiKey,
        uses_keyring: bool,
    ) -> Result<String, CliError> {
        let url = normal(url);
        let in_keyring = uses_keyring && keyring::set(&url, key.reveal());
        let api_key = (!in_keyring).then(|| key.reveal().to_owned());
        self.stored.registries.insert(url.clone(), Login { api_key });
        self.stored.default = Some(url);
        self.write()?;
        Ok(if in_keyring {
            "the system's keyring".to_owned()
        } else {
            self.folder.join(FILE).display().to_string()
        })
    }

    /// Forgets a registry. Returns whether it was known.
    ///
    /// # Errors
    /// If the file cannot be written, or the key stays in the keyring: the login is then kept.
    pub(in crate::cli) fn remove(&mut self, url: &str) -> Result<bool, CliError> {
        let url = normal(url);
        let Some(login) = self.stored.registries.get(&url) else {
            return Ok(false);
        };
        if login.api_key.is_none() && !keyring::remove(&url) {
            let message = format!(
                "secret-tool could not remove the API key of {url} from the keyring; unlock it, and log out again"
            );
            return Err(CliError::new(CliErrorKind::Refused, message));
        }
        self.stored.registries.remove(&url);
        if self.stored.default.as_ref() == Some(&url) {
            self.stored.default = self.stored.registries.keys().next().cloned();
        }
        self.write()?;
        Ok(true)
    }

    fn write(&self) -> Result<(), CliError> {
        let path = self.folder.join(FILE);
        if self.folder.as_os_str().is_empty() {
            return Err(CliError::new(
                CliErrorKind::Usage,
                "the home folder is not known: set HOME",
            ));
        }
        let text = serde_json::to_string_pretty(&self.stored)
            .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
        let replaced = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let folder = FolderHandle::open_where_trusted(&self.folder)?;
            folder.replace_file(FILE.as_ref(), text.as_bytes(), 0o600)
        });
        replaced.map_err(|error| file_error("cannot write", &path, &error))
    }
}

/// An address as the registry's clients identify it: without `/mcp` and without a slash at the end.
fn normal(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/mcp")
        .unwrap_or(url)
        .trim_end_matches('/')
        .to_owned()
}

fn read(folder: &Path) -> std::io::Result<Option<String>> {
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let handle = match FolderHandle::open_where_trusted(folder) {
        Ok(handle) => handle,
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let file = match handle.open_own(Path::new(FILE), 0o600, false) {
        Ok(file) => file,
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok((!text.trim().is_empty()).then_some(text))
}

/// The system's keyring, through its own program: `secret-tool` of libsecret on Linux, `security` on macOS. A library would bring
/// D-Bus into every build, for a password that is stored once.
mod keyring {
    use super::{Command, SERVICE, Stdio};
    use std::io::Write as _;

    pub(super) fn get(url: &str) -> Option<String> {
        let mut command = if cfg!(target_os = "macos") {
            let mut command = Command::new("/usr/bin/security");
            command.args(["find-generic-password", "-w", "-s", SERVICE, "-a", url]);
            command
        } else {
            let mut command = Command::new("secret-tool");
            command.args(["lookup", "service", SERVICE, "registry", url]);
            command
        };
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then_some(text)
    }

    /// Whether the key is in the keyring now. On macOS it would be an argument, which other accounts can see, so a file is used.
    pub(super) fn set(url: &str, key: &str) -> bool {
        if cfg!(target_os = "macos") {
            return false;
        }
        let child = Command::new("secret-tool")
            .args([
                "store",
                "--label",
                &format!("skillkeep: {url}"),
                "service",
                SERVICE,
                "registry",
                url,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            return false;
        };
        let is_written = child
            .stdin
            .take()
            .is_some_and(|mut stdin| stdin.write_all(key.as_bytes()).is_ok());
        let is_stored = child.wait().is_ok_and(|status| status.success());
        is_written && is_stored && get(url).is_some_and(|stored| stored.trim() == key)
    }

    /// Whether the key is not in the keyring any more. A locked keyring keeps it.
    pub(super) fn remove(url: &str) -> bool {
        let run = |arguments: &[&str]| {
            Command::new("secret-tool")
                .args(arguments)
                .args(["service", SERVICE, "registry", url])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
        };
        let is_cleared = run(&["clear"]).is_ok_and(|output| output.status.success());
        // It fails too if the key is gone already. A search names the keys of a locked keyring, without what they are.
        is_cleared || run(&["search", "--all"]).is_ok_and(|output| output.stdout.is_empty())
    }
}
