//! The text of a skill that is embedded.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::embedder::ModelId;

/// Maximum number of characters of [`text_of`]. Models read less of it: MiniLM stops after 128 or 256 word pieces, which
/// are about 600 to 1,200 characters of English.
pub const MAX_TEXT_CHARS: usize = 2_000;

/// Characters of the text that headings may not take from the name and the description.
const MAX_HEADINGS_CHARS: usize = 1_000;

/// The text that is embedded for a skill: its name in words, description and headings, one part per line, at most
/// [`MAX_TEXT_CHARS`] characters. White space and control characters become single spaces.
///
/// # Examples
/// ```
/// use skill_embeddings::text_of;
///
/// let headings = ["PDF tools".to_owned(), "Merge".to_owned()];
/// let text = text_of("pdf-tools", "Extracts tables\n  from PDF files", &headings);
/// assert_eq!(text, "pdf tools\nExtracts tables from PDF files\nPDF tools. Merge");
/// ```
#[must_use]
pub fn text_of(name: &str, description: &str, headings: &[String]) -> String {
    let mut text = String::new();
    let mut room = MAX_TEXT_CHARS;
    add(&mut text, &mut room, "", &name.replace(['-', '_'], " "));
    add(&mut text, &mut room, "\n", description);
    let mut room = room.min(MAX_HEADINGS_CHARS);
    let mut separator = "\n";
    for heading in headings {
        if add(&mut text, &mut room, separator, heading) {
            separator = ". ";
        }
    }
    text
}

/// Maximum number of passages of a body.
pub const MAX_PASSAGES: usize = 3;

/// Characters of a passage, about the 128 word pieces that MiniLM reads.
pub const PASSAGE_CHARS: usize = 550;

/// Fewer characters say too little to be compared.
const MIN_PASSAGE_CHARS: usize = 60;

/// The first passages of a body in Markdown that are embedded beside [`text_of`]: at most [`MAX_PASSAGES`], each of about
/// [`PASSAGE_CHARS`] characters and with single spaces. Fenced code is left out,
/// and the rest of a word that ends a passage.
#[must_use]
pub fn passages_of(body: &str) -> Vec<String> {
    let mut passages = Vec::new();
    let mut passage = String::new();
    let mut room = PASSAGE_CHARS;
    let mut is_code = false;
    for line in body.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        for word in line.split_whitespace().filter(|_| !is_code) {
            add(&mut passage, &mut room, " ", word);
            if room == 0 {
                passages.push(std::mem::take(&mut passage));
                room = PASSAGE_CHARS;
                if passages.len() == MAX_PASSAGES {
                    return passages;
                }
            }
        }
    }
    if passage.chars().count() >= MIN_PASSAGE_CHARS {
        passages.push(passage);
    }
    passages
}

/// Adds a part with single spaces, as far as there is room. Returns whether anything was added.
fn add(text: &mut String, room: &mut usize, separator: &str, part: &str) -> bool {
    let words = part
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let mut between = if text.is_empty() { "" } else { separator };
    let mut added = false;
    for word in words {
        if between.len() >= *room {
            *room = 0;
            return added;
        }
        *room -= between.len();
        text.push_str(between);
        // Some scripts write a whole text as one word, so the last word is cut.
        for c in word.chars().take(*room) {
            text.push(c);
            *room -= 1;
        }
        between = " ";
        added = true;
    }
    added
}

/// SHA-256 of a model's name and the embedded text. An embedding is out of date if the hash of its skill differs from
/// the one that is stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputHash([u8; 32]);

impl InputHash {
    #[must_use]
    pub fn of(model: &ModelId, text: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"skillkeep embedding 1\n");
        // The length keeps name and text apart.
        hasher.update((model.as_str().len() as u64).to_be_bytes());
        hasher.update(model.as_str());
        hasher.update(text);
        Self(hasher.finalize().into())
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(name: &str) -> ModelId {
        ModelId::new(name).unwrap()
    }

    #[test]
    fn parts_that_are_empty_leave_no_line() {
        assert_eq!(text_of("a_b", "", &[]), "a b");
        assert_eq!(text_of("", "", &[]), "");
        let headings = ["".to_owned(), "One".to_owned(), " ".to_owned(), "Two".to_owned()];
        assert_eq!(text_of("a", "", &headings), "a\nOne. Two");
    }

    #[test]
    fn long_headings_do_not_displace_the_description() {
        let description = "word ".repeat(300);
        let headings = vec!["Heading".to_owned(); 1_000];
        let text = text_of("name", &description, &headings);
        assert!(text.contains(description.trim()));
        assert!(text.chars().count() <= MAX_TEXT_CHARS);
        assert!(text.ends_with("Heading"));
    }

    #[test]
    fn text_without_spaces_is_cut() {
        let text = text_of(
            "name",
            &"\u{5b57}".repeat(MAX_TEXT_CHARS),
            &["Heading".to_owned()],
        );
        assert_eq!(text.chars().count(), MAX_TEXT_CHARS);
        assert!(text.ends_with('\u{5b57}'));
    }

    #[test]
    fn passages_follow_each_other_without_code() {
        let words: Vec<String> = (0..400).map(|number| format!("word{number}")).collect();
        let body = format!("# Title\n\n```sh\nsecret\n```\n{}\n", words.join(" "));
        let passages = passages_of(&body);
        assert_eq!(passages.len(), MAX_PASSAGES);
        assert!(passages[0].starts_with("# Title word0 word1"));
        assert!(
            passages
                .iter()
                .all(|passage| passage.chars().count() <= PASSAGE_CHARS)
        );
        assert!(!passages.concat().contains("secret"));
        assert_eq!(passages_of("Do it."), [""; 0]);
        assert_eq!(passages_of(&"\u{5b57}".repeat(70)).len(), 1);
    }

    #[test]
    fn hash_changes_with_model_and_text() {
        let hash = InputHash::of(&model("m"), "text");
        assert_eq!(hash, InputHash::of(&model("m"), "text"));
        assert_ne!(hash, InputHash::of(&model("n"), "text"));
        assert_ne!(hash, InputHash::of(&model("m"), "texts"));
        assert_ne!(InputHash::of(&model("mt"), "ext"), hash);
        assert_eq!(InputHash::from_bytes(*hash.as_bytes()), hash);
        assert_eq!(hash.to_string().len(), 64);
    }

    proptest! {
        #[test]
        fn passages_of_any_text_are_bounded(body in ".{0,3000}") {
            let passages = passages_of(&body);
            prop_assert!(passages.len() <= MAX_PASSAGES);
            prop_assert!(passages.iter().all(|passage| passage.chars().count() <= PASSAGE_CHARS));
        }

        #[test]
        fn any_text_is_bounded_and_has_no_control_characters(
            name in ".{0,80}", description in ".{0,3000}", headings in proptest::collection::vec(".{0,200}", 0..20)
        ) {
            let text = text_of(&name, &description, &headings);
            prop_assert!(text.chars().count() <= MAX_TEXT_CHARS);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
