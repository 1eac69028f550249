//! Typed identifiers. Raw input is parsed once, where it enters the program.
//!
//! ```
//! use skillkeep::ids::TenantId;
//!
//! let id = TenantId::new();
//! assert_eq!(TenantId::from_uuid(*id.as_uuid()), id);
//! ```

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

pub use agent_skills::{Digest, IdError, Slug};
use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp, Uuid};

/// A UUIDv7 of the time `now`, with sub-millisecond precision (RFC 9562, section 6.2, method 3).
///
/// It keeps no state between calls. A generator that is monotonic across calls would keep the latest time it has seen: after a clock
/// that was ahead for one second it would produce wrong times, and events for partitions that do not exist, until a restart.
fn uuid_v7(now: SystemTime) -> Uuid {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let context = ContextV7::new().with_additional_precision();
    Uuid::new_v7(Timestamp::from_unix(
        &context,
        since_epoch.as_secs(),
        since_epoch.subsec_nanos(),
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
            /// A new UUIDv7 (RFC 9562, section 5.7) of the current time.
            #[must_use]
            pub fn new() -> Self {
                Self(uuid_v7(SystemTime::now()))
            }

            /// For an id from the database or from an API key.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

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
    /// An organisation whose data is isolated from every other tenant.
    TenantId
);
uuid_id!(
    /// A person or service account of one tenant.
    UserId
);
uuid_id!(
    /// The id of an API key, not its secret.
    ApiKeyId
);
uuid_id!(
    /// The id of a secret path, not its secret.
    SecretPathId
);
uuid_id!(
    /// A skill with all its versions.
    SkillId
);
uuid_id!(
    /// An immutable version of a skill.
    VersionId
);
uuid_id!(
    /// An installation of a skill, as reported by the assistant.
    InstallId
);
uuid_id!(
    /// A usage event. Its timestamp determines its partition, which holds one month.
    EventId
);
impl EventId {
    /// A new id of this time.
    #[must_use]
    pub fn at(time: jiff::Timestamp) -> Self {
        Self(uuid_v7(SystemTime::from(time)))
    }
}

uuid_id!(
    /// A feedback report about a skill.
    ReportId
);
uuid_id!(
    /// A review of a version.
    ReviewId
);
uuid_id!(
    /// A group of users.
    GroupId
);
uuid_id!(
    /// A skill that administrators want users to have.
    DistributionId
);
uuid_id!(
    /// A user's rating of a skill.
    RatingId
);
uuid_id!(
    /// An entry of the audit log.
    AuditId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_has_the_current_time_after_the_clock_was_ahead() {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let now = UNIX_EPOCH + day * 20_000;
        let ahead = uuid_v7(now + day * 400);
        let after = uuid_v7(now);
        assert!(after < ahead);
        let seconds = |id: Uuid| id.get_timestamp().unwrap().to_unix().0;
        assert_eq!(seconds(after), 20_000 * 24 * 60 * 60);
        assert_eq!(seconds(ahead), 20_400 * 24 * 60 * 60);
    }

    #[test]
    fn ids_within_one_millisecond_are_ordered() {
        let start = UNIX_EPOCH + std::time::Duration::from_millis(1_800_000_000_000);
        let ids: Vec<Uuid> = (0..100)
            .map(|number| uuid_v7(start + std::time::Duration::from_micros(number * 9)))
            .collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }
}
