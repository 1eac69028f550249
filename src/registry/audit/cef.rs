//! Audit entries in the Common Event Format (CEF, revision 25), the input format of security event collectors (SIEM).

use super::ChainedEntry;
use crate::shown_text::visible;

/// Formats an entry as one line, without a line feed.
#[must_use]
pub fn cef(entry: &ChainedEntry) -> String {
    let denied = entry.action.starts_with("denied.");
    let severity = if denied { 6 } else { 3 };
    let outcome = if denied { "failure" } else { "success" };
    let mut line = format!(
        "CEF:0|skillkeep|skillkeep|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        header(&entry.action),
        header(&entry.action),
    );
    let fields = [
        ("rt", (entry.created_us / 1000).to_string()),
        ("externalId", entry.seq.to_string()),
        ("suser", entry.actor.clone()),
        ("outcome", outcome.to_owned()),
        ("msg", entry.details_text.clone()),
        ("cs1Label", "subject".to_owned()),
        ("cs1", entry.subject.clone()),
        ("cs2Label", "tenant".to_owned()),
        ("cs2", entry.tenant_id.to_string()),
        ("cs3Label", "source".to_owned()),
        ("cs3", entry.source.clone()),
        ("cs4Label", "actorKind".to_owned()),
        ("cs4", entry.actor_kind.clone()),
        ("cs5Label", "hash".to_owned()),
        ("cs5", entry.hash.clone()),
    ];
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", extension(value)))
        .collect();
    line.push_str(&fields.join(" "));
    line
}

fn header(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('=', "\\=")
        .replace("\r\n", "\\n")
        .replace(['\n', '\r'], "\\n");
    visible(&text).into_owned()
}

fn one_line(text: &str) -> String {
    visible(&text.replace(['\n', '\r'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::ids::TenantId;

    #[test]
    fn special_characters_are_escaped() {
        let entry = ChainedEntry {
            tenant_id: TenantId::from_uuid(Uuid::nil()),
            seq: 7,
            id: Uuid::nil(),
            created_us: 1_700_000_000_123_456,
            actor_kind: "admin".to_owned(),
            actor: "a=b\\c".to_owned(),
            action: "denied|x".to_owned(),
            subject: "two\nlines\u{1b}[2J\u{202e}".to_owned(),
            details: json!({}),
            details_text: "{}".to_owned(),
            source: "cli".to_owned(),
            prev_hash: String::new(),
            hash: "ff".to_owned(),
        };
        let line = cef(&entry);
        assert!(line.starts_with("CEF:0|skillkeep|skillkeep|"), "{line}");
        assert!(
            line.contains("|denied\\|x|denied\\|x|3|rt=1700000000123 externalId=7 suser=a\\=b\\\\c "),
            "{line}"
        );
        assert!(
            line.contains("cs1=two\\nlines\\u{1b}[2J\\u{202e} ")
                && !line.contains(crate::shown_text::is_unsafe),
            "{line}"
        );
    }
}
