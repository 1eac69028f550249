//! The project folders that a client names with `roots/list` (MCP 2025-11-25, client features, roots).

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::blocking::blocking;

/// How long a client may take to name its project folders.
pub const ROOTS_TIMEOUT: Duration = Duration::from_secs(5);
/// The most roots that a client may name. Each one costs a look at the disk, and no workspace has as many folders.
const MAX_ROOTS: usize = 1000;

/// The folders of this machine among the URIs of a client's roots, in their order.
///
/// A root counts if its URI has the scheme `file:` and its path is an existing folder. A link to one counts as that folder, as it does
/// for `--allow-project`: the client's user named it. Empty if there are more than
/// 1,000 roots.
pub async fn root_folders(uris: Vec<String>) -> Vec<PathBuf> {
    if uris.len() > MAX_ROOTS {
        tracing::warn!(roots = uris.len(), "the client named too many project folders");
        return Vec::new();
    }
    let existing = move || {
        let paths = uris.iter().filter_map(|uri| path(uri));
        Ok(paths.filter_map(folder).collect())
    };
    blocking(existing).await.unwrap_or_default()
}

/// The path of a `file:` URI on this host.
fn path(uri: &str) -> Option<PathBuf> {
    let url = Url::parse(uri).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// The folder at a path, without links; `None` if there is none.
fn folder(path: PathBuf) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn only_existing_folders_of_file_uris_count() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let at = |name: &str| format!("{}/{name}", real.display());
        for name in ["shop", "two words"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("file"), "text").unwrap();
        symlink(at("shop"), at("link")).unwrap();
        let (shop, link) = (at("shop"), at("link"));
        let uris = vec![
            shop.clone(),
            "shop".to_owned(),
            String::new(),
            format!("https://localhost{shop}"),
            format!("skill://{shop}"),
            format!("file://other.example{shop}"),
            format!("file://{shop}%00"),
            format!("file://{}", at("file")),
            format!("file://{}", at("missing")),
            format!("file://{link}"),
            format!("file://{link}/"),
            format!("file://{link}/."),
            format!("file://{link}/%2E"),
            format!("file://{}", at("two%20words")),
            format!("file://localhost{shop}/"),
            format!("FILE://{shop}"),
        ];
        let expected =
            ["shop", "shop", "shop", "shop", "two words", "shop", "shop"].map(|name| PathBuf::from(at(name)));
        assert_eq!(root_folders(uris).await, expected);
    }

    #[tokio::test]
    async fn too_many_roots_are_none() {
        let root = tempfile::tempdir().unwrap();
        let uris = |count| vec![format!("file://{}", root.path().display()); count];
        assert_eq!(root_folders(uris(MAX_ROOTS)).await.len(), MAX_ROOTS);
        assert_eq!(root_folders(uris(MAX_ROOTS + 1)).await, Vec::<PathBuf>::new());
    }
}
