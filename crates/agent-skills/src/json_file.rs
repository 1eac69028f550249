//! Small JSON files beside skills. They are untrusted: size and kind are checked, and links are not followed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::fcntl::OFlag;
use serde_json::{Map, Value};

/// Maximum size of a file in bytes: a marketplace of thousands of plugins.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// JSON files that many skills share. Each is read once.
#[derive(Debug, Default)]
pub(crate) struct JsonFiles {
    known: HashMap<PathBuf, Option<Rc<Map<String, Value>>>>,
    /// Files that could not be used, with the reason.
    pub(crate) problems: Vec<(PathBuf, String)>,
}

impl JsonFiles {
    /// An object. `None` if there is no such file, or, with an entry in the problems, if it is not an object.
    pub(crate) fn object(&mut self, path: PathBuf) -> Option<Rc<Map<String, Value>>> {
        if let Some(known) = self.known.get(&path) {
            return known.clone();
        }
        let object = match read_object(&path) {
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
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, String> {
    let Some(bytes) = read_bytes(path, MAX_BYTES).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

/// The bytes of a regular file. `None` if there is none, or something else in its place.
pub(crate) fn read_bytes(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(error) => {
            let is_absent = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) || error.raw_os_error() == Some(nix::libc::ELOOP);
            return if is_absent { Ok(None) } else { Err(error) };
        }
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(Some(bytes))
}
