//! Searches for PostgreSQL's programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use super::os_account::OsAccount;

/// The oldest supported major version.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// Folders with one subfolder for each installed major version: parent, prefix of the subfolders, programs in a subfolder.
const INSTALL_ROOTS: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/opt/local/lib", "postgresql", "bin"),
];

/// A folder with `initdb` and `postgres` that PostgreSQL's account can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) major: u32,
    pub(super) bin: PathBuf,
}

/// Which programs to look for, and where.
pub(super) struct Search<'a> {
    /// Only this folder is considered.
    pub(super) pg_bin: Option<&'a Path>,
    pub(super) search_path: Option<&'a OsStr>,
    /// The major version of the existing cluster.
    pub(super) required_major: Option<u32>,
    /// The cluster's folder, for error messages.
    pub(super) data: &'a Path,
    /// The account that must be able to run the programs.
    pub(super) account: &'a OsAccount,
}

impl Search<'_> {
    /// Returns the programs of the required major version, or of the highest one if none is required.
    pub(super) fn find(&self) -> Result<Binaries, EmbeddedError> {
        let found = match self.pg_bin {
            Some(bin) => vec![
                probe(bin, self.account).map_err(|reason| EmbeddedError::InvalidPgBin {
                    bin: bin.to_path_buf(),
                    reason,
                })?,
            ],
            None => installed(self.search_path, self.account),
        };
        select(found, self.required_major, self.data)
    }
}

fn select(
    mut found: Vec<Binaries>,
    required_major: Option<u32>,
    data: &Path,
) -> Result<Binaries, EmbeddedError> {
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.major));
    let Some(newest) = found.first() else {
        return Err(EmbeddedError::NotInstalled {
            advice: installation_advice(),
        });
    };
    if let Some(required) = required_major {
        let same = found.iter().find(|candidate| candidate.major == required);
        return same.cloned().ok_or_else(|| EmbeddedError::MajorNotInstalled {
            data: data.to_path_buf(),
            required,
            found: list_majors(&found),
        });
    }
    if newest.major < OLDEST_MAJOR {
        return Err(EmbeddedError::TooOld {
            found: newest.major,
            bin: newest.bin.clone(),
            advice: installation_advice(),
        });
    }
    Ok(newest.clone())
}

fn list_majors(found: &[Binaries]) -> String {
    let mut majors: Vec<u32> = found.iter().map(|candidate| candidate.major).collect();
    majors.dedup();
    let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
    majors.join(" and ")
}

fn installed(search_path: Option<&OsStr>, account: &OsAccount) -> Vec<Binaries> {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for folder in search_path.map(std::env::split_paths).into_iter().flatten() {
        // Symbolic links are resolved, because initdb finds its other files relative to its own path.
        if let Ok(program) = fs::canonicalize(folder.join("postgres")) {
            folders.extend(program.parent().map(Path::to_path_buf));
        }
    }
    for (root, prefix, subfolder) in INSTALL_ROOTS {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                folders.push(entry.path().join(subfolder));
            }
        }
    }
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in folders {
        let Ok(folder) = fs::canonicalize(&folder) else {
            continue;
        };
        if seen.contains(&folder) {
            continue;
        }
        found.extend(probe(&folder, account));
        seen.push(folder);
    }
    found
}

fn probe(bin: &Path, account: &OsAccount) -> Result<Binaries, String> {
    for program in ["initdb", "postgres"] {
        if !bin.join(program).is_file() {
            return Err(format!("it does not contain `{program}`"));
        }
    }
    let output = account.command(&bin.join("postgres")).arg("--version").output();
    let output = output.map_err(|error| match account {
        OsAccount::Own => format!("its `postgres` cannot be run ({error})"),
        OsAccount::Service { name, .. } => {
            format!("its `postgres` cannot be run by the account {name} ({error})")
        }
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match major_of(&text) {
        Some(major) => Ok(Binaries {
            major,
            bin: bin.to_path_buf(),
        }),
        None => Err("its `postgres --version` prints no version".to_owned()),
    }
}

/// The major in `postgres (PostgreSQL) 15.6 (Debian …)`, `… 18beta1`, `… 19devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

fn installation_advice() -> &'static str {
    advice_for(
        cfg!(target_os = "macos"),
        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
    )
}

/// How to install PostgreSQL on macOS, or on the system that an os-release(5) file describes.
fn advice_for(macos: bool, os_release: &str) -> &'static str {
    if macos {
        "install PostgreSQL with `brew install postgresql@17`"
    } else {
        let fields = |key: &str| {
            let value = os_release.lines().find_map(|line| line.strip_prefix(key));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        // ID comes first; ID_LIKE lists related systems, the closest first.
        let names = format!("{} {}", fields("ID="), fields("ID_LIKE="));
        names
            .split_whitespace()
            .find_map(|name| match name {
                "debian" | "ubuntu" => Some("install PostgreSQL with `sudo apt-get install postgresql`"),
                "fedora" | "rhel" | "centos" => {
                    Some("install PostgreSQL with `sudo dnf install postgresql-server`")
                }
                "alpine" => Some("install PostgreSQL with `sudo apk add postgresql`"),
                "arch" => Some("install PostgreSQL with `sudo pacman -S postgresql`"),
                "suse" | "opensuse" => {
                    Some("install PostgreSQL with `sudo zypper install postgresql-server`")
                }
                "nixos" => Some("install PostgreSQL with `nix-env -iA nixos.postgresql`"),
                _ => None,
            })
            .unwrap_or("install PostgreSQL's server package")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(major: u32) -> Binaries {
        Binaries {
            major,
            bin: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")),
        }
    }

    fn select_from(majors: &[u32], required: Option<u32>) -> Result<u32, String> {
        select(
            majors.iter().copied().map(binaries).collect(),
            required,
            Path::new("/d/data"),
        )
        .map(|binaries| binaries.major)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn major_is_parsed_from_every_version_format() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major_of("postgres (EnterpriseDB) x"), None);
        assert_eq!(major_of(""), None);
    }

    #[test]
    fn newest_major_is_selected_unless_the_cluster_requires_another() {
        assert_eq!(select_from(&[15, 18, 14, 16], None), Ok(18));
        assert_eq!(select_from(&[15, 18, 14, 16], Some(15)), Ok(15));
    }

    #[test]
    fn major_below_15_is_rejected_with_its_folder() {
        let error = select_from(&[13, 14], None).unwrap_err();
        assert!(
            error.starts_with("PostgreSQL 14 in /usr/lib/postgresql/14/bin is too old"),
            "{error}"
        );
    }

    #[test]
    fn missing_major_error_explains_how_to_move_the_data() {
        let error = select_from(&[18, 16], Some(15)).unwrap_err();
        assert_eq!(
            error,
            "the data in /d/data was created by PostgreSQL 15, but only 18 and 16 were found: install PostgreSQL 15 as well; \
             then, to move the data to a newer version, use pg_dumpall"
        );
    }

    #[test]
    fn installation_advice_matches_the_operating_system() {
        for (os_release, command) in [
            ("ID=debian\n", "apt-get"),
            (
                "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                "apt-get",
            ),
            ("ID=fedora\nVERSION_ID=41\n", "dnf"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf"),
            ("ID=alpine\n", "apk add"),
            ("ID=manjaro\nID_LIKE=arch\n", "pacman"),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper"),
            ("ID=unheard-of\n", "install PostgreSQL's server package"),
            ("", "install PostgreSQL's server package"),
        ] {
            let advice = advice_for(false, os_release);
            assert!(advice.contains(command), "{os_release:?}: {advice}");
            assert_eq!(advice.matches(". ").count(), 0, "one sentence: {advice}");
        }
        assert!(advice_for(true, "").contains("brew install"));
    }

    #[test]
    fn pg_bin_without_programs_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let search = Search {
            pg_bin: Some(folder.path()),
            search_path: None,
            required_major: None,
            data: Path::new("/d/data"),
            account: &OsAccount::Own,
        };
        let error = search.find().unwrap_err();
        let expected = format!(
            "{} cannot be used: it does not contain `initdb`",
            folder.path().display()
        );
        assert!(error.to_string().contains(&expected), "{error}");
    }
}
