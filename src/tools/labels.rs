//! How tools write what a model reads: labels of a skill, times, texts cut at a word.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skill_search::Query;

/// A time without fractions of a second (RFC 3339).
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The day of a time in UTC, such as `2026-11-26`.
pub(super) fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// A number with one decimal.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The text, or a part of it with at most `max_chars` characters: cut at a word, with `…` where something was left out. The
/// part begins with the sentence that holds the most words of `query`.
pub(super) fn excerpt(text: &str, max_chars: usize, query: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= max_chars {
        return text;
    }
    let start = best_sentence(&text, query);
    let rest = text.get(start..).unwrap_or(&text);
    // What follows the last sentence of interest would be short: then the text before it is worth more.
    let start = if rest.chars().count() * 2 < max_chars {
        0
    } else {
        start
    };
    let rest = text.get(start..).unwrap_or(&text);
    let lead = if start == 0 { "" } else { "… " };
    format!(
        "{lead}{}",
        cut(rest, max_chars.saturating_sub(lead.chars().count()))
    )
}

/// The byte at which the sentence with the most words of `query` begins; the first of equals.
fn best_sentence(text: &str, query: &str) -> usize {
    let words: Vec<Query> = query.split_whitespace().map(Query::new).collect();
    let mut best = (0, 0);
    let mut start = 0;
    for sentence in text.split_inclusive(". ") {
        let sentence_words = Query::new(sentence);
        let count = words
            .iter()
            .filter(|word| word.shares_word_with(&sentence_words))
            .count();
        if count > best.1 {
            best = (start, count);
        }
        start += sentence.len();
    }
    best.0
}

/// The first words of a text, at most `max_chars` characters with the `…` at the end if the text goes on.
fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let end = text
        .char_indices()
        .nth(max_chars.saturating_sub(1))
        .map_or(text.len(), |(at, _)| at);
    let part = text.get(..end).unwrap_or(text);
    // A text without spaces, as some scripts write it, is cut anywhere.
    let part = match part.rsplit_once(' ') {
        Some((words, _)) if words.len() * 2 > part.len() => words,
        Some(_) | None => part,
    };
    format!("{}…", part.trim_end_matches([' ', ',', ';', ':', '-', '.']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_have_no_fractions() {
        let at: Timestamp = "2026-11-26T01:02:03.987654Z".parse().unwrap();
        assert_eq!(time(at), "2026-11-26T01:02:03Z");
        assert_eq!(day(at), "2026-11-26");
    }

    #[test]
    fn excerpt_ends_at_a_word() {
        let text = "Fills in PDF forms, merges and splits documents. Use it for tax forms.";
        assert_eq!(excerpt(text, 100, ""), text);
        assert_eq!(excerpt(text, 24, ""), "Fills in PDF forms…");
        assert_eq!(excerpt("a  b\n\tc", 9, ""), "a b c");
    }

    #[test]
    fn excerpt_begins_with_the_sentence_that_matches() {
        let text =
            "Fills in forms. Merges documents of any kind and size. Signs contracts with a certificate.";
        let found = excerpt(text, 40, "a contract");
        assert_eq!(found, "… Signs contracts with a certificate.");
        assert!(excerpt(text, 40, "form").starts_with("Fills in forms."));
    }

    proptest! {
        #[test]
        fn excerpt_has_at_most_the_given_length(text in "(\\PC{0,12}[. ]){0,40}", max in 3_usize..200, word in "\\PC{1,4}") {
            prop_assert!(excerpt(&text, max, &word).chars().count() <= max);
        }
    }
}
