//! Identifiers that cannot be confused with one another.
//!
//! Each is made once from raw input, at the edge, and trusted from then on.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

pub use agent_skills::{Digest, IdError, Slug};
use serde::{Deserialize, Serialize};
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

/// The smallest UUIDv7 of a time: ids begin with their milliseconds, so an index on ids also finds a period of time.
///
/// Times before 1970 have no UUIDv7 and give the smallest one.
#[must_use]
pub fn min_uuid_v7(time: jiff::Timestamp) -> Uuid {
    let millis = u128::try_from(time.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
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

#[cfg(test)]
mod tests {
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
}
