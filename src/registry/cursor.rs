//! Cursors: signed places in a tenant's lists.
//!
//! A cursor is opaque to its bearer and good for one list of one tenant, with the filters that it came from. A forged
//! one, or one of another tenant, is as good as none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;

use crate::tenancy::Principal;

/// The longest cursor that is read, in characters; ours are shorter.
pub const MAX_CURSOR_CHARS: usize = 1024;

/// A cursor that does not belong to the list that it was sent for: forged, cut off, or another tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list; ask for the list again without a cursor")]
pub struct InvalidCursor;

/// A cursor to `place` in the list that `list` names, filters and all.
#[must_use]
pub fn write(principal: &Principal, list: &str, place: &str) -> String {
    let signature = hmac::sign(&key(principal), &message(list, place));
    let mut bytes = signature.as_ref().to_vec();
    bytes.extend_from_slice(place.as_bytes());
    BASE64.encode(bytes)
}

/// The place that a cursor of this list names.
///
/// # Errors
/// [`InvalidCursor`] for whatever [`write`] did not make for this very list and tenant.
pub fn read(principal: &Principal, list: &str, cursor: &str) -> Result<String, InvalidCursor> {
    if cursor.len() > MAX_CURSOR_CHARS {
        return Err(InvalidCursor);
    }
    let bytes = BASE64.decode(cursor).map_err(|_| InvalidCursor)?;
    let (signature, place) = bytes
        .split_at_checked(hmac::HMAC_SHA256.digest_algorithm().output_len())
        .ok_or(InvalidCursor)?;
    let place = std::str::from_utf8(place).map_err(|_| InvalidCursor)?;
    hmac::verify(&key(principal), &message(list, place), signature).map_err(|_| InvalidCursor)?;
    Ok(place.to_owned())
}

fn key(principal: &Principal) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, principal.cursor_secret.as_bytes())
}

/// The length in front, so that no list and place can be read as another list and place.
fn message(list: &str, place: &str) -> Vec<u8> {
    format!("{}:{list}{place}", list.len()).into_bytes()
}
