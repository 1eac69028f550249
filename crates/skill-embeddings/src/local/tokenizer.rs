//! The tokenizer of BERT: words, then the longest pieces of them that are in the vocabulary (WordPiece).
//!
//! Does what `tokenizers` does for the same `tokenizer.json`, except that names of special tokens in a text, such as
//! `[SEP]`, are plain text here: texts come from callers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization as _;

use super::config::{MAX_JSON_BYTES, parse, read_file};
use crate::error::SettingsError;

/// Longer words are unknown.
const MAX_WORD_CHARS: usize = 100;

/// The words of a text: ideographs and punctuation are each a word. ASCII symbols count as punctuation.
const WORD: &str = r"[\p{P}$+<=>^`|~\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]|[^\s\p{P}$+<=>^`|~\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]+";

/// Control and format characters without white space, and the replacement character.
const IGNORED: &str = r"[\p{C}\x{FFFD}--\t\n\r]";

const ACCENT: &str = r"\p{Mn}";

pub(super) struct Tokenizer {
    words: Regex,
    ignored: Regex,
    accents: Option<Regex>,
    lowercase: bool,
    vocabulary: HashMap<String, u32>,
    /// What the pieces of a word begin with, except for the first.
    continuation: String,
    /// The token before a text, after it, and in the place of an unknown word.
    first: u32,
    last: u32,
    unknown: u32,
    max_tokens: usize,
}

#[derive(Deserialize)]
struct File {
    normalizer: Normalizer,
    pre_tokenizer: Kind,
    model: Model,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    lowercase: bool,
    /// As `lowercase` if it is not set.
    strip_accents: Option<bool>,
    clean_text: bool,
    handle_chinese_chars: bool,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Model {
    /// Old files do not name it.
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, for texts of at most `max_tokens` tokens. Returns the file's bytes too, for a hash.
    pub(super) fn read(folder: &Path, max_tokens: usize) -> Result<(Self, Vec<u8>), SettingsError> {
        let (path, bytes) = read_file(folder, "tokenizer.json", MAX_JSON_BYTES)?;
        let file: File = parse(&path, &bytes)?;
        Self::new(file, max_tokens)
            .map(|tokenizer| (tokenizer, bytes))
            .map_err(|reason| unsupported(path, reason))
    }

    fn new(file: File, max_tokens: usize) -> Result<Self, String> {
        let normalizer = &file.normalizer;
        let supported = normalizer.kind == "BertNormalizer"
            && normalizer.clean_text
            && normalizer.handle_chinese_chars
            && file.pre_tokenizer.kind == "BertPreTokenizer"
            && file.model.kind.as_deref().unwrap_or("WordPiece") == "WordPiece"
            && file.model.max_input_chars_per_word == MAX_WORD_CHARS;
        if !supported {
            return Err("only the tokenizer of BERT (WordPiece) can be computed; use an endpoint".to_owned());
        }
        let token = |name: &str| {
            let found = file.model.vocab.get(name).copied();
            found.ok_or_else(|| format!("there is no token {name}"))
        };
        let regex = |pattern: &str| Regex::new(pattern).map_err(|error| error.to_string());
        let strips_accents = normalizer.strip_accents.unwrap_or(normalizer.lowercase);
        Ok(Self {
            words: regex(WORD)?,
            ignored: regex(IGNORED)?,
            accents: strips_accents.then(|| regex(ACCENT)).transpose()?,
            lowercase: normalizer.lowercase,
            first: token("[CLS]")?,
            last: token("[SEP]")?,
            unknown: token(&file.model.unk_token)?,
            continuation: file.model.continuing_subword_prefix,
            vocabulary: file.model.vocab,
            max_tokens,
        })
    }

    /// The tokens of a text with the token before and the one after it.
    pub(super) fn tokens(&self, text: &str) -> Vec<u32> {
        let text = self.normalized(text);
        let mut tokens = vec![self.first];
        let last = self.max_tokens.saturating_sub(1);
        for word in self.words.find_iter(&text) {
            if tokens.len() >= last {
                break;
            }
            self.add_pieces(word.as_str(), &mut tokens);
        }
        tokens.truncate(last);
        tokens.push(self.last);
        tokens
    }

    fn normalized(&self, text: &str) -> String {
        let mut text = self.ignored.replace_all(text, "").into_owned();
        if let Some(accents) = &self.accents {
            let decomposed: String = text.nfd().collect();
            text = accents.replace_all(&decomposed, "").into_owned();
        }
        if self.lowercase {
            text = text.chars().flat_map(char::to_lowercase).collect();
        }
        text
    }

    /// Adds the longest pieces from the left, or the unknown token if a part of the word has no piece.
    fn add_pieces(&self, word: &str, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        if word.chars().count() > MAX_WORD_CHARS {
            tokens.push(self.unknown);
            return;
        }
        let mut rest = word;
        let mut piece = String::new();
        while !rest.is_empty() {
            let prefix = if tokens.len() > before {
                &self.continuation
            } else {
                ""
            };
            let ends = rest.char_indices().map(|(start, c)| start + c.len_utf8());
            let found = ends.rev().find_map(|end| {
                let (start, after) = rest.split_at_checked(end)?;
                piece.clear();
                piece.push_str(prefix);
                piece.push_str(start);
                self.vocabulary.get(piece.as_str()).map(|token| (*token, after))
            });
            let Some((token, after)) = found else {
                tokens.truncate(before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(token);
            rest = after;
        }
    }
}

fn unsupported(file: PathBuf, reason: String) -> SettingsError {
    SettingsError::UnsupportedModel { file, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: [&str; 13] = [
        "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "a", ",", "uber", "字", "$", "p", "##lay",
    ];

    fn tokenizer(max_tokens: usize) -> Tokenizer {
        let vocab: HashMap<&str, usize> = PIECES
            .iter()
            .enumerate()
            .map(|(id, piece)| (*piece, id))
            .collect();
        let file = serde_json::json!({
            "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null, "clean_text": true,
                "handle_chinese_chars": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab},
        });
        Tokenizer::new(serde_json::from_value(file).unwrap(), max_tokens).unwrap()
    }

    fn pieces(text: &str) -> Vec<&'static str> {
        let tokens = tokenizer(64).tokens(text);
        let inner = &tokens[1..tokens.len() - 1];
        inner.iter().map(|token| PIECES[*token as usize]).collect()
    }

    #[test]
    fn words_are_split_into_the_longest_known_pieces() {
        assert_eq!(
            pieces("Playing  plays,a"),
            ["play", "##ing", "play", "##s", ",", "a"]
        );
        assert_eq!(pieces("\u{dc}ber \u{fffd}a\u{200b}a\n$"), ["uber", "[UNK]", "$"]);
        assert_eq!(pieces("字字a"), ["字", "字", "a"]);
        assert_eq!(pieces("playx [SEP]"), ["[UNK]", "[UNK]", "[UNK]", "[UNK]"]);
        assert_eq!(pieces(&"a".repeat(101)), ["[UNK]"]);
        assert_eq!(pieces(""), [""; 0]);
    }

    #[test]
    fn other_tokenizers_are_not_supported() {
        for wrong in ["normalizer", "pre_tokenizer", "model"] {
            let mut file = serde_json::json!({
                "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null, "clean_text": true,
                    "handle_chinese_chars": true},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "model": {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                    "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}},
            });
            let read =
                |file: &serde_json::Value| Tokenizer::new(serde_json::from_value(file.clone()).unwrap(), 64);
            assert!(read(&file).is_ok());
            file[wrong]["type"] = "Other".into();
            assert!(read(&file).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn number_of_tokens_is_limited(text in "(\\PC{0,9} ?){0,90}", max_tokens in 8_usize..64) {
            let tokens = tokenizer(max_tokens).tokens(&text);
            prop_assert!(tokens.len() <= max_tokens);
            prop_assert_eq!((tokens.first(), tokens.last()), (Some(&1), Some(&2)));
        }
    }
}
