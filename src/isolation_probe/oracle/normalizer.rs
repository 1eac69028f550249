//! Removes from a response what differs between two callers who see the same: names, ids, times, and the order of lists.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::isolation_probe::fixtures::Fixtures;
use crate::isolation_probe::test_tenant::{Identifier, TestTenant};

pub(super) struct Normalizer<'a> {
    /// Each text with its placeholder; longer texts first, because they can contain shorter ones.
    replacements: Vec<(&'a str, &'a str)>,
}

impl<'a> Normalizer<'a> {
    /// For the responses to `tenant`, whose requests contain the texts that `sent` selects.
    pub(super) fn new(
        fixtures: &'a Fixtures,
        tenant: &'a TestTenant,
        sent: impl Fn(&'a Identifier) -> &'a str,
    ) -> Self {
        let cursors = fixtures.cursors.iter().map(|(_, cursor)| cursor);
        let mut replacements: Vec<(&str, &str)> = fixtures
            .identifiers
            .iter()
            .chain(cursors)
            .map(|id| (sent(id), id.kind))
            .collect();
        replacements.push((&tenant.slug, "TENANT"));
        replacements.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self { replacements }
    }

    pub(super) fn normalize(&self, response: &Value) -> Value {
        match response {
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .filter(|(name, _)| *name != "id" && *name != "jsonrpc")
                    .map(|(name, value)| {
                        let value = match (name.as_str(), value) {
                            ("next_cursor" | "nextCursor", Value::String(_)) => Value::from("CURSOR"),
                            (name, Value::Number(_)) if name.ends_with("_ms") => Value::from("MS"),
                            _ => self.normalize(value),
                        };
                        (self.normalize_text(name), value)
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.normalize(item)).collect();
                items.sort_by_cached_key(Value::to_string);
                Value::Array(items)
            }
            Value::String(text) if text.starts_with('{') => {
                // Structured content is repeated as text.
                match serde_json::from_str::<Value>(text) {
                    Ok(content) => self.normalize(&content),
                    Err(_) => Value::from(self.normalize_text(text)),
                }
            }
            Value::String(text) if text.parse::<Timestamp>().is_ok() => Value::from("TIME"),
            Value::String(text) => Value::from(self.normalize_text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => response.clone(),
        }
    }

    fn normalize_text(&self, text: &str) -> String {
        let mut normalized = text.to_owned();
        for (text, placeholder) in &self.replacements {
            // Most texts are shorter than an identifier, and a length is compared faster than a text searched.
            if text.len() <= normalized.len() && normalized.contains(text) {
                normalized = normalized.replace(text, placeholder);
            }
        }
        without_uuids(&normalized)
    }
}

/// Replaces digests of files and fingerprints of findings.
pub(super) fn without_digests(response: Value) -> Value {
    match response {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "digest" | "fingerprint" => Value::from("DIGEST"),
                    _ => without_digests(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(without_digests).collect(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => response,
    }
}

/// Replaces each UUID with `ID`.
fn without_uuids(text: &str) -> String {
    const LEN: usize = 36;
    const FIRST_HYPHEN: usize = 8;
    let mut normalized = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('-') {
        let start = before.len().checked_sub(FIRST_HYPHEN);
        let uuid = start.and_then(|start| Some((start, rest.get(start..start.checked_add(LEN)?)?)));
        match uuid {
            Some((start, uuid)) if Uuid::try_parse(uuid).is_ok() => {
                let (before, from_uuid) = rest.split_at(start);
                normalized.push_str(before);
                normalized.push_str("ID");
                rest = from_uuid.get(LEN..).unwrap_or_default();
            }
            Some(_) | None => {
                normalized.push_str(before);
                normalized.push('-');
                rest = after;
            }
        }
    }
    normalized.push_str(rest);
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_uuids_are_replaced() {
        let uuid = "018f3c1e-7d2b-7cc0-8f00-0123456789ab";
        for (text, expected) in [
            (uuid.to_owned(), "ID".to_owned()),
            (format!("é-{uuid}{uuid}-"), "é-IDID-".to_owned()),
            (format!("skill://{uuid}/x"), "skill://ID/x".to_owned()),
            (format!("0{uuid}0"), "0ID0".to_owned()),
            ("018f3c1e-7d2b-7cc0".to_owned(), "018f3c1e-7d2b-7cc0".to_owned()),
        ] {
            assert_eq!(without_uuids(&text), expected);
        }
    }
}
