//! How many: a number, or bounds.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// `3`, or `{min: 1, max: 5}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(u64),
    Between(Bounds),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    #[serde(default)]
    min: u64,
    #[serde(default = "unlimited")]
    max: u64,
}

/// Not derived: serde's untagged enums report a wrong field without its name and line.
impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or {min: NUMBER, max: NUMBER}")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count::Exactly(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
                let unexpected = de::Unexpected::Signed(number);
                u64::try_from(number)
                    .map(Count::Exactly)
                    .map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Count, A::Error> {
                Bounds::deserialize(MapAccessDeserializer::new(map)).map(Count::Between)
            }
        }

        deserializer.deserialize_any(CountVisitor)
    }
}

const fn unlimited() -> u64 {
    u64::MAX
}

impl Count {
    pub(super) fn contains(self, number: usize) -> bool {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        match self {
            Self::Exactly(expected) => number == expected,
            Self::Between(bounds) => (bounds.min..=bounds.max).contains(&number),
        }
    }

    pub(super) fn times(self, calls: u32) -> Self {
        match self {
            Self::Exactly(expected) => Self::Exactly(expected.saturating_mul(u64::from(calls))),
            bounds @ Self::Between(_) => bounds,
        }
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::Exactly(1)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "{number}"),
            Self::Between(Bounds { min, max: u64::MAX }) => write!(f, "at least {min}"),
            Self::Between(Bounds { min, max }) => write!(f, "{min} to {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_optional() {
        let parse = |text: &str| serde_json::from_str::<Count>(text).unwrap();
        assert!(parse("2").contains(2) && !parse("2").contains(3));
        let between = parse("{\"min\": 1, \"max\": 2}");
        assert_eq!(
            [0, 1, 2, 3].map(|n| between.contains(n)),
            [false, true, true, false]
        );
        assert_eq!(between.to_string(), "1 to 2");
        assert_eq!(parse("{\"min\": 1}").to_string(), "at least 1");
        for wrong in ["{\"minimum\": 1}", "-1", "\"2\"", "1.5"] {
            assert!(serde_json::from_str::<Count>(wrong).is_err(), "{wrong}");
        }
    }
}
