//! The text of an API key: `skeep_`, then in base 62 the tenant's id, a secret of about 190 random bits, and a checksum. The secret
//! of a secret path has the same form and begins with `skeepd_`.
//!
//! The fixed prefix lets secret scanners find a leaked key; the checksum detects a typing error without a query.
//! The tenant's id in the key is a claim: it only selects the tenant in which the key's hash is looked up.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use uuid::Uuid;

use crate::ids::{Digest, TenantId};

/// Prefix of every API key.
pub const PREFIX: &str = "skeep_";
const TENANT_LEN: usize = 22;
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const BODY_LEN: usize = TENANT_LEN + SECRET_LEN + CHECKSUM_LEN;
/// Prefix of the secret of a secret path.
pub const SECRET_PATH_PREFIX: &str = "skeepd_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed API key. Only the database knows whether it is valid. `Debug` prints no part of it.
///
/// # Examples
///
/// ```
/// use skillkeep::ids::TenantId;
/// use skillkeep::tenancy::ApiKey;
///
/// let tenant = TenantId::new();
/// let key = ApiKey::generate(tenant, &mut rand::rng());
/// let parsed: ApiKey = key.reveal().parse().unwrap();
/// assert_eq!(parsed.claimed_tenant(), tenant);
/// assert_eq!(format!("{parsed:?}"), "ApiKey(hidden)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    tenant: TenantId,
    kind: KeyKind,
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Sent in a header, with every request.
    Header,
    /// A part of a path, for clients that can send no header. It stands for an API key, and opens less.
    SecretPath,
}

impl KeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Header => PREFIX,
            Self::SecretPath => SECRET_PATH_PREFIX,
        }
    }
}

/// Why a text is not an API key. The message never contains the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// The prefix, the length or the characters are wrong.
    #[error("this is not a skillkeep API key: a key is \"skeep_\" followed by 60 letters and digits")]
    Shape,
    /// It begins like a key and has white space inside.
    #[error("this API key has white space inside, perhaps a line break; copy it in one piece")]
    WhiteSpace,
    /// The shape is right but the checksum is wrong.
    #[error("this API key has a typing error or is incomplete; copy the whole key again")]
    Checksum,
}

impl ApiKey {
    /// Generates a key for a tenant.
    #[must_use]
    pub fn generate(tenant: TenantId, rng: &mut (impl rand::CryptoRng + ?Sized)) -> Self {
        Self::generate_kind(KeyKind::Header, tenant, rng)
    }

    /// Generates the secret of a secret path for a tenant.
    #[must_use]
    pub fn generate_secret_path(tenant: TenantId, rng: &mut (impl rand::CryptoRng + ?Sized)) -> Self {
        Self::generate_kind(KeyKind::SecretPath, tenant, rng)
    }

    fn generate_kind(kind: KeyKind, tenant: TenantId, rng: &mut (impl rand::CryptoRng + ?Sized)) -> Self {
        let secret = (0..SECRET_LEN).map(|_| char::from(rng.sample(Alphanumeric)));
        let mut text = String::with_capacity(kind.prefix().len() + BODY_LEN);
        text.push_str(kind.prefix());
        text.push_str(&encode(tenant.as_uuid().as_u128(), TENANT_LEN));
        text.extend(secret);
        text.push_str(&checksum(&text));
        Self { text, tenant, kind }
    }

    /// Parses the secret of a secret path.
    ///
    /// # Errors
    /// [`ApiKeyError`] if the text is not one, also if it is an API key.
    pub fn parse_secret_path(text: &str) -> Result<Self, ApiKeyError> {
        Self::parse_kind(KeyKind::SecretPath, text)
    }

    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    fn parse_kind(kind: KeyKind, text: &str) -> Result<Self, ApiKeyError> {
        let body = text.strip_prefix(kind.prefix()).ok_or(ApiKeyError::Shape)?;
        if body.contains(char::is_whitespace) {
            return Err(ApiKeyError::WhiteSpace);
        }
        if body.len() != BODY_LEN || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ApiKeyError::Shape);
        }
        // The text is ASCII, so both splits are at character boundaries.
        let (covered, sum) = text.split_at(text.len() - CHECKSUM_LEN);
        if checksum(covered) != sum {
            return Err(ApiKeyError::Checksum);
        }
        let (tenant, _) = body.split_at(TENANT_LEN);
        let tenant = decode(tenant).ok_or(ApiKeyError::Shape)?;
        Ok(Self {
            text: text.to_owned(),
            tenant: TenantId::from_uuid(Uuid::from_u128(tenant)),
            kind,
        })
    }

    /// The tenant that the key claims to belong to; not verified.
    #[must_use]
    pub const fn claimed_tenant(&self) -> TenantId {
        self.tenant
    }

    /// The SHA-256 of the key's text, which is all that the database stores of it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The key's text. Show it to its owner once, after creation; never log or store it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    /// White space around the key is ignored: files and secrets of an orchestrator often end with a line feed.
    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        Self::parse_kind(KeyKind::Header, text.trim())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// Splits a text at the first prefix of a key: the text before it, the prefix, and the text after it.
#[must_use]
pub fn split_at_prefix(text: &str) -> Option<(&str, &'static str, &str)> {
    [PREFIX, SECRET_PATH_PREFIX]
        .into_iter()
        .filter_map(|prefix| {
            text.split_once(prefix)
                .map(|(before, after)| (before, prefix, after))
        })
        .min_by_key(|(before, _, _)| before.len())
}

/// Stands for what follows the prefix of a key in a text that is stored.
const HIDDEN: &str = "(hidden)";

/// Replaces every API key and every secret of a secret path in a text that a caller wrote, so that a key that was pasted by mistake is not stored. What looks like a key
/// with a part of its secret, such as one with a typing error, counts as one.
///
/// # Examples
///
/// ```
/// use skillkeep::ids::TenantId;
/// use skillkeep::tenancy::{ApiKey, mask_keys};
///
/// let key = ApiKey::generate(TenantId::new(), &mut rand::rng());
/// let comment = format!("works with {}.", key.reveal());
/// assert_eq!(mask_keys(&comment), "works with skeep_(hidden).");
/// ```
#[must_use]
pub fn mask_keys(text: &str) -> Cow<'_, str> {
    if split_at_prefix(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, prefix, after)) = split_at_prefix(rest) {
        masked.push_str(before);
        masked.push_str(prefix);
        let is_letter_or_digit = |c: char| c.is_ascii_alphanumeric();
        let run = after.len() - after.trim_start_matches(is_letter_or_digit).len();
        // The next key may follow without a space.
        let next = split_at_prefix(after).map(|(between, _, _)| between.len());
        let end = next.map_or(run, |next| next.min(run));
        let (body, following) = after.split_at(end);
        let is_key = body.len() > TENANT_LEN;
        masked.push_str(if is_key { HIDDEN } else { "" });
        rest = if is_key { following } else { after };
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

fn checksum(text: &str) -> String {
    encode(u128::from(crc32fast::hash(text.as_bytes())), CHECKSUM_LEN)
}

/// `number` in base 62, padded with zeros to `width` digits: 22 digits hold 128 bits, 6 hold 32.
fn encode(mut number: u128, width: usize) -> String {
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        // `number % 62` is always a valid index, so the fallback is unreachable.
        let digit = usize::try_from(number % 62)
            .ok()
            .and_then(|d| DIGITS.get(d))
            .copied()
            .unwrap_or(b'0');
        digits.push(char::from(digit));
        number /= 62;
    }
    digits.iter().rev().collect()
}

/// Decodes base 62. `None` for a character outside the alphabet and for numbers of more than 128 bits.
fn decode(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        number.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ApiKey {
        ApiKey::generate(TenantId::new(), &mut rand::rng())
    }

    #[test]
    fn generated_key_parses_and_names_its_tenant() {
        for _ in 0..100 {
            let key = key();
            assert_eq!(key.reveal().len(), 66);
            let read: ApiKey = key.reveal().parse().unwrap();
            assert_eq!(read, key);
            assert_eq!(read.claimed_tenant(), key.claimed_tenant());
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let key = key();
        assert_eq!(format!("{key:?}"), "ApiKey(hidden)");
    }

    #[test]
    fn secret_of_a_path_is_no_api_key_and_the_reverse() {
        let tenant = TenantId::new();
        let secret = ApiKey::generate_secret_path(tenant, &mut rand::rng());
        assert!(secret.reveal().starts_with("skeepd_") && secret.reveal().len() == 67);
        assert_eq!(ApiKey::parse_secret_path(secret.reveal()), Ok(secret.clone()));
        assert_eq!(
            (secret.claimed_tenant(), secret.kind()),
            (tenant, KeyKind::SecretPath)
        );
        assert_eq!(secret.reveal().parse::<ApiKey>(), Err(ApiKeyError::Shape));
        assert_eq!(ApiKey::parse_secret_path(key().reveal()), Err(ApiKeyError::Shape));
        let text = format!("from /d/{}/skills", secret.reveal());
        assert_eq!(mask_keys(&text), "from /d/skeepd_(hidden)/skills");
    }

    #[test]
    fn truncated_or_extended_key_is_rejected() {
        let key = key();
        for len in 0..key.reveal().len() {
            assert!(key.reveal()[..len].parse::<ApiKey>().is_err());
        }
        assert_eq!(
            format!("{}0", key.reveal()).parse::<ApiKey>(),
            Err(ApiKeyError::Shape)
        );
    }

    #[test]
    fn white_space_is_ignored_around_and_named_inside_the_key() {
        let key = key();
        for (before, after) in [("", "\n"), (" ", "\r\n"), ("\t", " \u{a0}")] {
            let read: ApiKey = format!("{before}{}{after}", key.reveal()).parse().unwrap();
            assert_eq!((read.reveal(), read.hash()), (key.reveal(), key.hash()));
        }
        let (first, second) = key.reveal().split_at(30);
        for between in [" ", "\n", "\u{2028}"] {
            let read = format!("{first}{between}{second}").parse::<ApiKey>();
            assert_eq!(read, Err(ApiKeyError::WhiteSpace));
        }
    }

    #[test]
    fn keys_in_a_text_are_masked_wherever_they_are() {
        let key = key();
        let text = key.reveal();
        for (before, after) in [
            (text.to_owned(), "skeep_(hidden)"),
            (format!("{text}{text}"), "skeep_(hidden)skeep_(hidden)"),
            (
                format!("a \"{text}\",\n{text}é"),
                "a \"skeep_(hidden)\",\nskeep_(hidden)é",
            ),
            (text[..40].to_owned(), "skeep_(hidden)"),
            ("skeep_ skeep_skeep_abc".to_owned(), "skeep_ skeep_skeep_abc"),
            (format!("skeep_{text}"), "skeep_skeep_(hidden)"),
            (format!("skeepd_{text}"), "skeepd_skeep_(hidden)"),
        ] {
            assert_eq!(mask_keys(&before), after, "{before}");
        }
    }

    proptest! {
        #[test]
        fn no_key_is_left_in_any_text(before in ".{0,8}", after in ".{0,8}") {
            let key = key();
            let masked = mask_keys(&format!("{before}{}{after}", key.reveal())).into_owned();
            prop_assert!(!masked.contains(&key.reveal()[28..]));
        }

        #[test]
        fn any_single_typing_error_is_detected(position in 6_usize..66, digit in "[0-9A-Za-z]") {
            let key = key();
            let mut text = key.reveal().to_owned();
            text.replace_range(position..=position, &digit);
            prop_assert_eq!(text.parse::<ApiKey>().is_ok(), text == key.reveal());
        }

        #[test]
        fn parser_rejects_arbitrary_text_without_panic(text in ".*") {
            prop_assert!(text.parse::<ApiKey>().is_err());
        }

        #[test]
        fn base_62_round_trips(number: u128) {
            prop_assert_eq!(decode(&encode(number, TENANT_LEN)), Some(number));
        }
    }
}
