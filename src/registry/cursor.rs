//! Cursors: signed positions in a tenant's lists.
//!
//! A cursor is opaque to clients and valid for one list of one tenant, with the filters it was created with. Any other
//! cursor is rejected: a forged one, or one of another tenant or list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;

use crate::tenancy::Principal;

/// The longest cursor that is read, in characters. The server's own cursors are shorter.
pub const MAX_CURSOR_CHARS: usize = 1024;

/// The cursor was not created for this list: it is forged, truncated, or belongs to another list or tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid for this list; request the first page without a cursor")]
pub struct InvalidCursor;

/// A cursor to `position` in the list that `list` identifies, filters included.
#[must_use]
pub fn write(principal: &Principal, list: &str, position: &str) -> String {
    let signature = hmac::sign(&signing_key(principal), &signed_message(list, position));
    let mut bytes = signature.as_ref().to_vec();
    bytes.extend_from_slice(position.as_bytes());
    BASE64.encode(bytes)
}

/// The position that a cursor of this list contains.
///
/// # Errors
/// [`InvalidCursor`] unless [`write`] created the cursor for the same list and tenant.
pub fn read(principal: &Principal, list: &str, cursor: &str) -> Result<String, InvalidCursor> {
    if cursor.len() > MAX_CURSOR_CHARS {
        return Err(InvalidCursor);
    }
    let bytes = BASE64.decode(cursor).map_err(|_| InvalidCursor)?;
    let (signature, position) = bytes
        .split_at_checked(hmac::HMAC_SHA256.digest_algorithm().output_len())
        .ok_or(InvalidCursor)?;
    let position = std::str::from_utf8(position).map_err(|_| InvalidCursor)?;
    hmac::verify(
        &signing_key(principal),
        &signed_message(list, position),
        signature,
    )
    .map_err(|_| InvalidCursor)?;
    Ok(position.to_owned())
}

fn signing_key(principal: &Principal) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, principal.cursor_secret.as_bytes())
}

/// The length prefix keeps two pairs of list and position from giving the same message.
fn signed_message(list: &str, position: &str) -> Vec<u8> {
    format!("{}:{list}{position}", list.len()).into_bytes()
}
