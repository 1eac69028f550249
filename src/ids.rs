//! Identifiers that cannot be confused with one another.
//!
//! Each is made once from raw input, at the edge, and trusted from then on.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::{ContextV7, Timestamp, Uuid};

/// A UUIDv7 of this moment, with the fraction of its millisecond (RFC 9562, section 6.2, method 3).
///
/// It knows no earlier id: one that did would stay at the latest time that it ever saw, so a clock that was wrong for a second would
/// give wrong times, and events of months that do not exist, for as long as the process runs.
fn version_7(now: SystemTime) -> Uuid {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let context = ContextV7::new().with_additional_precision();
    Uuid::new_v7(Timestamp::from_unix(
        &context,
        since.as_secs(),
        since.subsec_nanos(),
    ))
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: a UUIDv7 (RFC 9562, section 5.7) of this moment.
            #[must_use]
            pub fn new() -> Self {
                Self(version_7(SystemTime::now()))
            }

            /// Takes an id that the database or an API key holds.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID, as a statement's parameter wants it.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id!(
    /// An organisation that shares nothing with the others.
    TenantId
);
uuid_id!(
    /// A person or service account of one tenant.
    UserId
);
uuid_id!(
    /// An API key's record, never the key itself.
    ApiKeyId
);
uuid_id!(
    /// A skill, across its versions.
    SkillId
);
uuid_id!(
    /// One immutable version of a skill.
    VersionId
);
uuid_id!(
    /// One installation of a skill, as reported by the assistant.
    InstallId
);
uuid_id!(
    /// One recorded call. Its time part decides the month's partition that it lands in.
    EventId
);
uuid_id!(
    /// One report of how a skill did.
    ReportId
);
uuid_id!(
    /// One entry of the audit log.
    AuditId
);

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a `sha256:` digest.
    #[error("a digest is \"sha256:\" and 64 lowercase hexadecimal digits")]
    Digest,
    /// The text is not a slug.
    #[error("a slug has 1 to 64 lowercase letters, digits and single hyphens, with no hyphen at either end")]
    Slug,
}

/// The SHA-256 of some bytes: the one digest of the registry, in tools, manifests and installs alike.
///
/// Written as `sha256:` and 64 lowercase hexadecimal digits, the form of SEP-2640.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes, as the database stores them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes the 32 bytes that the database holds.
    ///
    /// # Errors
    /// When there are not exactly 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        bytes.try_into().map(Self).map_err(|_| IdError::Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let hex = text.strip_prefix("sha256:").ok_or(IdError::Digest)?;
        let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != 64 || !hex.bytes().all(lowercase_hex) {
            return Err(IdError::Digest);
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| IdError::Digest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| IdError::Digest)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A name that is unique in its tenant and safe in a URI, a path and a shell: 1 to 64 lowercase letters,
/// digits and single hyphens (the rule of the Agent Skills format for `name`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The longest slug, in characters, which are bytes here.
    pub const MAX_LEN: usize = 64;

    /// The slug's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug nearest to `text`: letters lowered, everything else turned into single hyphens, cut at 64.
    /// `None` where nothing is left.
    #[must_use]
    pub fn derive(text: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() >= Self::MAX_LEN {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        (!slug.is_empty()).then(|| Self(slug.to_owned()))
    }
}

impl FromStr for Slug {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_formed = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Slug)
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_of_its_own_moment_even_after_the_clock_was_far_ahead() {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let now = UNIX_EPOCH + day * 20_000;
        let ahead = version_7(now + day * 400);
        let after = version_7(now);
        assert!(after < ahead);
        let seconds = |id: Uuid| id.get_timestamp().unwrap().to_unix().0;
        assert_eq!(seconds(after), 20_000 * 24 * 60 * 60);
        assert_eq!(seconds(ahead), 20_400 * 24 * 60 * 60);
    }

    #[test]
    fn ids_of_moments_within_a_millisecond_keep_their_order() {
        let moment = UNIX_EPOCH + std::time::Duration::from_millis(1_800_000_000_000);
        let ids: Vec<Uuid> = (0..100)
            .map(|number| version_7(moment + std::time::Duration::from_micros(number * 9)))
            .collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"skill");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let good = Digest::of(b"skill").to_string();
        for bad in [
            good.to_uppercase(),
            good.replace("sha256:", ""),
            good.replace("sha256:", "sha512:"),
            format!("{good}0"),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(IdError::Digest), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_derived_slug_is_a_slug(text in ".*") {
            if let Some(slug) = Slug::derive(&text) {
                prop_assert_eq!(slug.as_str().parse::<Slug>().unwrap(), slug);
            }
        }

        #[test]
        fn a_slug_is_its_own_derivation(text in "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}") {
            prop_assert_eq!(Slug::derive(&text).unwrap(), text.parse::<Slug>().unwrap());
        }
    }
}
