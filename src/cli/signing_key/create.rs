//! `skillkeep signing-key create`: the private key goes to a file, the public key to the database.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::fchown;
use std::path::Path;

use folder_handle::FolderHandle;
use nix::unistd::Uid;
use serde_json::json;
use skill_signature::{PublicKey, SigningKey};

use super::key_failure;
use crate::cli::database::{self, db_failure};
use crate::cli::files::{create_private, file_error};
use crate::cli::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration::signing_keys as keys;
use crate::registry::private_keys::{self, SigningKeys};
use crate::search;

pub(super) async fn run(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    out: Option<&Path>,
    existing: Option<&Path>,
) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    // The file before the row: a row without its private key would stop every publication.
    let (public_key, file) = match (existing, out, &config.signing_keys) {
        (Some(file), _, _) => (last_key(file)?, file.to_path_buf()),
        (None, Some(file), _) => (create_file(file)?, file.to_path_buf()),
        (None, None, Some(folder)) => {
            let name = SigningKeys::file_name(tenant);
            let file = folder.join(&name);
            let added =
                add_to_file(folder, &name).map_err(|error| file_error("cannot write", &file, &error))?;
            (added, file)
        }
        (None, None, None) => {
            return Err(CliError::new(
                CliErrorKind::Usage,
                "name the folder of the private keys with --signing-keys, or a new file with --out",
            ));
        }
    };
    keys::create(&tx, &database::operator(), &public_key)
        .await
        .map_err(key_failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    let id = public_key.key_id();
    if config.json {
        return output::json(&json!({
            "key_id": id.to_string(), "public_key": public_key.to_string(), "file": file,
        }));
    }
    output::note(&format!(
        "The key {id} signs the versions of {tenant} from now on. Its private key is in {}. Give this public key to users:",
        file.display()
    ));
    output::line(&public_key.to_string())
}

fn internal(error: skill_signature::SignatureError) -> CliError {
    CliError::new(CliErrorKind::Internal, error.to_string())
}

fn generate() -> Result<(String, PublicKey), skill_signature::SignatureError> {
    let pem = SigningKey::generate()?;
    let public_key = SigningKey::from_pem(&pem)?.public_key();
    Ok((pem, public_key))
}

fn create_file(path: &Path) -> Result<PublicKey, CliError> {
    let (pem, public_key) = generate().map_err(internal)?;
    let write = || -> io::Result<()> {
        let mut file = create_private(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| file_error("cannot write", path, &error))?;
    Ok(public_key)
}

/// The public key of the last private key in a file.
fn last_key(path: &Path) -> Result<PublicKey, CliError> {
    let refused = |problem: private_keys::KeyProblem| {
        CliError::new(
            CliErrorKind::Refused,
            format!("cannot use {}: {problem}", path.display()),
        )
    };
    let absolute = std::path::absolute(path).map_err(|error| file_error("cannot read", path, &error))?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(refused(private_keys::KeyProblem::NoFile));
    };
    let folder =
        FolderHandle::open_where_trusted(folder).map_err(|error| file_error("cannot read", path, &error))?;
    let keys = private_keys::read_keys(&folder, Path::new(name)).map_err(refused)?;
    let last = keys
        .last()
        .ok_or_else(|| refused(private_keys::KeyProblem::NoKey))?;
    Ok(last.public_key())
}

/// Adds a private key to the file of a tenant, which is replaced at once: a reader sees the keys before or all of them.
fn add_to_file(folder: &Path, name: &str) -> io::Result<PublicKey> {
    let (pem, public_key) = generate().map_err(io::Error::other)?;
    let folder = FolderHandle::open_where_trusted(folder)?;
    let mut text = String::new();
    match private_keys::read_keys(&folder, Path::new(name)) {
        Ok(_) => {
            folder.open_file(Path::new(name))?.read_to_string(&mut text)?;
        }
        Err(private_keys::KeyProblem::NoFile) => {}
        Err(problem) => return Err(io::Error::new(io::ErrorKind::InvalidData, problem)),
    }
    text.push_str(&pem);
    if text.len() > SigningKey::MAX_PEM_BYTES {
        let message = "it has too many keys; remove those that are retired";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let temporary = OsString::from(format!(".{name}.{}", std::process::id()));
    let mut file = folder.create_new(Path::new(&temporary), 0o600)?;
    let owner = folder.own_info()?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        // Root creates the file for the account that serves.
        if Uid::effective().is_root() && owner.owner != 0 {
            fchown(&file, Some(owner.owner), Some(owner.group))?;
        }
        file.sync_all()?;
        folder.rename(&temporary, name.as_ref())?;
        folder.sync()
    });
    if written.is_err() {
        folder.remove_file(&temporary)?;
    }
    written.map(|()| public_key)
}
