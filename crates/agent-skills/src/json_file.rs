//! Small JSON files beside skills. They are untrusted: size and kind are checked, and links are not followed.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use folder_handle::FolderHandle;
use serde_json::{Map, Value};

/// Maximum size of a file in bytes: a marketplace of thousands of plugins.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// JSON files that many skills share. Each is read once.
#[derive(Debug)]
pub(crate) struct JsonFiles<'a> {
    root: &'a FolderHandle,
    known: HashMap<PathBuf, Option<Rc<Map<String, Value>>>>,
    /// Files that could not be used, with the reason.
    pub(crate) problems: Vec<(PathBuf, String)>,
}

impl<'a> JsonFiles<'a> {
    /// Files below `root`.
    pub(crate) fn below(root: &'a FolderHandle) -> Self {
        Self {
            root,
            known: HashMap::new(),
            problems: Vec::new(),
        }
    }

    /// An object that is not kept. `None` if there is no such file, or something else in its place.
    pub(crate) fn object_once(&self, path: &Path) -> Option<Map<String, Value>> {
        read_object(self.root, path).ok().flatten()
    }

    /// An object. `None` if there is no such file, or, with an entry in the problems, if it is not an object.
    pub(crate) fn object(&mut self, path: PathBuf) -> Option<Rc<Map<String, Value>>> {
        if let Some(known) = self.known.get(&path) {
            return known.clone();
        }
        let object = match read_object(self.root, &path) {
            Ok(object) => object.map(Rc::new),
            Err(reason) => {
                self.problems.push((path.clone(), reason));
                None
            }
        };
        self.known.insert(path, object.clone());
        object
    }
}

/// An object. `None` if there is no such file.
///
/// # Errors
/// The reason why the file cannot be used.
fn read_object(root: &FolderHandle, path: &Path) -> Result<Option<Map<String, Value>>, String> {
    let Some(bytes) = read_bytes(root, path, MAX_BYTES).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

/// The bytes of a regular file below `root`. `None` if there is none, or something else in its place, such as a link.
pub(crate) fn read_bytes(root: &FolderHandle, path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match root.open_file(path) {
        Ok(file) => file,
        Err(error) => {
            let is_absent = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput
            ) || matches!(error.raw_os_error(), Some(nix::libc::ELOOP | nix::libc::ENXIO));
            return if is_absent { Ok(None) } else { Err(error) };
        }
    };
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(Some(bytes))
}
