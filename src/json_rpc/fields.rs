//! Finds fields that occur twice in an object.
//!
//! RFC 8259, section 4, leaves open which of the two counts, so a proxy that checks arguments and the server could read different
//! values.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value, of which only the name of a duplicate field is kept.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// A field that occurs twice in one object.
    pub(super) duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_str<E>(self, _value: &str) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Fields, A::Error> {
        let mut duplicate = None;
        while let Some(item) = items.next_element::<Fields>()? {
            duplicate = duplicate.or(item.duplicate);
        }
        Ok(Fields { duplicate })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Fields, A::Error> {
        let (mut names, mut duplicate) = (HashSet::new(), None);
        while let Some((name, value)) = fields.next_entry::<String, Fields>()? {
            duplicate = duplicate.or(value.duplicate);
            if names.contains(&name) {
                duplicate = duplicate.or(Some(name));
            } else {
                names.insert(name);
            }
        }
        Ok(Fields { duplicate })
    }
}
