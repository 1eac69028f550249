//! Finding PostgreSQL's programs on this system.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use super::os_account::OsAccount;

/// The oldest major version whose features the schema relies on.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// Folders that hold one folder for each installed major: the parent, how the names begin, and where the programs are.
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

/// A folder with `initdb` and `postgres` that this account can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) major: u32,
    pub(super) bin: PathBuf,
}

/// The highest supported major, or exactly `wanted` where a cluster exists already.
pub(super) fn find(
    chosen: Option<&Path>,
    search_path: Option<&OsStr>,
    wanted: Option<u32>,
    data: &Path,
    account: &OsAccount,
) -> Result<Binaries, EmbeddedError> {
    let found = match chosen {
        Some(bin) => vec![
            probe(bin, account).map_err(|reason| EmbeddedError::ChosenBinaries {
                bin: bin.to_path_buf(),
                reason,
            })?,
        ],
        None => installed(search_path, account),
    };
    pick(found, wanted, data)
}

fn pick(mut found: Vec<Binaries>, wanted: Option<u32>, data: &Path) -> Result<Binaries, EmbeddedError> {
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.major));
    let Some(newest) = found.first() else {
        return Err(EmbeddedError::NotInstalled {
            advice: advice_here(),
        });
    };
    if let Some(wanted) = wanted {
        let same = found.iter().find(|candidate| candidate.major == wanted);
        return same.cloned().ok_or_else(|| EmbeddedError::OtherVersion {
            data: data.to_path_buf(),
            wanted,
            found: list_majors(&found),
        });
    }
    if newest.major < OLDEST_MAJOR {
        return Err(EmbeddedError::TooOld {
            found: newest.major,
            bin: newest.bin.clone(),
            advice: advice_here(),
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
        // A link in the PATH is followed, for initdb finds its other files relative to its own place.
        if let Ok(program) = fs::canonicalize(folder.join("postgres")) {
            folders.extend(program.parent().map(Path::to_path_buf));
        }
    }
    for (root, prefix, below) in INSTALL_ROOTS {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                folders.push(entry.path().join(below));
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
            return Err(format!("there is no `{program}` in it"));
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
        None => Err("its `postgres --version` does not tell a version".to_owned()),
    }
}

/// The major in `postgres (PostgreSQL) 15.6 (Debian …)`, `… 18beta1`, `… 19devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

fn advice_here() -> String {
    advice(
        cfg!(target_os = "macos"),
        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
    )
}

/// One sentence that says how to install PostgreSQL, for the system that an os-release(5) file describes.
fn advice(macos: bool, os_release: &str) -> String {
    let command = if macos {
        "install PostgreSQL with `brew install postgresql@17`"
    } else {
        let fields = |key: &str| {
            let value = os_release.lines().find_map(|line| line.strip_prefix(key));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        // ID comes before ID_LIKE, which lists relatives from near to far.
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
    };
    format!(
        "skillkeep runs its own database with the programs of PostgreSQL {OLDEST_MAJOR} or later, which were not found here: \
         {command}, or set SKILLKEEP_PG_BIN to their folder, or DATABASE_URL to a database that runs elsewhere."
    )
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

    fn pick_from(majors: &[u32], wanted: Option<u32>) -> Result<u32, String> {
        pick(
            majors.iter().copied().map(binaries).collect(),
            wanted,
            Path::new("/d/data"),
        )
        .map(|binaries| binaries.major)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn versions_of_all_spellings_are_read() {
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
    fn the_newest_is_taken_unless_the_data_asks_for_another() {
        assert_eq!(pick_from(&[15, 18, 14, 16], None), Ok(18));
        assert_eq!(pick_from(&[15, 18, 14, 16], Some(15)), Ok(15));
    }

    #[test]
    fn an_old_postgresql_is_refused_by_name() {
        let error = pick_from(&[13, 14], None).unwrap_err();
        assert!(
            error.starts_with("PostgreSQL 14 in /usr/lib/postgresql/14/bin is too old"),
            "{error}"
        );
    }

    #[test]
    fn data_of_a_missing_version_tells_how_to_move_it() {
        let error = pick_from(&[18, 16], Some(15)).unwrap_err();
        assert!(
            error.starts_with(
                "the database in /d/data was made by PostgreSQL 15, but here is only 18 and 16. \
                 Install PostgreSQL 15 as well and skillkeep uses it. To move the data"
            ),
            "{error}"
        );
    }

    #[test]
    fn the_advice_fits_the_system() {
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
            let advice = advice(false, os_release);
            assert!(advice.contains(command), "{os_release:?}: {advice}");
            assert_eq!(advice.matches(". ").count(), 0, "one sentence: {advice}");
        }
        assert!(advice(true, "").contains("brew install"));
    }

    #[test]
    fn a_chosen_folder_without_programs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(
            Some(folder.path()),
            None,
            None,
            Path::new("/d/data"),
            &OsAccount::Own,
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("but there is no `initdb` in it"),
            "{error}"
        );
    }
}
