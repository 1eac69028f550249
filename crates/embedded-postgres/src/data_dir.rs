use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Returns the usual data folder of an application, or `None` without a home folder.
///
/// - root: `/var/lib/<app_name>`, because PostgreSQL's account cannot reach root's home;
/// - macOS: `~/Library/Application Support/<app_name>`;
/// - else: `<xdg_data_home>/<app_name>` (XDG Base Directory Specification 0.8), which is `~/.local/share/<app_name>` if
///   `xdg_data_home` is `None` or relative.
///
/// # Examples
///
/// ```
/// use std::path::Path;
///
/// let folder = embedded_postgres::default_data_dir("notes", Some(Path::new("/home/ada")), None);
/// assert!(folder.unwrap().ends_with("notes"));
/// ```
#[must_use]
pub fn default_data_dir(
    app_name: &str,
    home: Option<&Path>,
    xdg_data_home: Option<&Path>,
) -> Option<PathBuf> {
    let system = if Uid::effective().is_root() {
        System::Root
    } else if cfg!(target_os = "macos") {
        System::MacOs
    } else {
        System::Xdg
    };
    data_dir_on(system, app_name, home, xdg_data_home)
}

#[derive(Debug, Clone, Copy)]
enum System {
    Root,
    MacOs,
    Xdg,
}

fn data_dir_on(
    system: System,
    app_name: &str,
    home: Option<&Path>,
    xdg_data_home: Option<&Path>,
) -> Option<PathBuf> {
    let home = home.filter(|home| home.is_absolute());
    match system {
        System::Root => Some(Path::new("/var/lib").join(app_name)),
        System::MacOs => home.map(|home| home.join("Library/Application Support").join(app_name)),
        System::Xdg => match xdg_data_home.filter(|folder| folder.is_absolute()) {
            Some(folder) => Some(folder.join(app_name)),
            None => home.map(|home| home.join(".local/share").join(app_name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_data_folder_follows_the_system() {
        let (home, xdg) = (Some(Path::new("/home/ada")), Some(Path::new("/data")));
        let folder = |system, home, xdg| {
            data_dir_on(system, "skillkeep", home, xdg).map(|folder| folder.display().to_string())
        };
        assert_eq!(
            folder(System::Root, home, xdg).as_deref(),
            Some("/var/lib/skillkeep")
        );
        assert_eq!(folder(System::Xdg, home, xdg).as_deref(), Some("/data/skillkeep"));
        assert_eq!(
            folder(System::Xdg, home, None).as_deref(),
            Some("/home/ada/.local/share/skillkeep")
        );
        assert_eq!(
            folder(System::Xdg, home, Some(Path::new("data"))).as_deref(),
            Some("/home/ada/.local/share/skillkeep")
        );
        assert_eq!(
            folder(System::MacOs, home, xdg).as_deref(),
            Some("/home/ada/Library/Application Support/skillkeep")
        );
        assert_eq!(folder(System::Xdg, None, None), None);
    }
}
