//! The numbers of the ranking, in a text file that is compiled in.

use std::sync::LazyLock;

/// The names of the features, in the order of their weights. All are about 0 to 1.
pub const FEATURES: [&str; 19] = [
    // The score of the first stage, relative to the best document.
    "score",
    // Shares of the query's words that are in the document, weighted by idf: in the description, in the body, ...
    "coverage_description",
    "coverage_body",
    // ... weighted by the square of idf, not weighted, by idf and topic, by idf and burst, ...
    "coverage_rare",
    "coverage_count",
    "coverage_topic",
    "coverage_burst",
    // ... and in name, tags or description: by idf and burst, by idf in these fields.
    "coverage_front_burst",
    "coverage_front_idf",
    // The highest idf of a word in the document, relative to the highest of the query.
    "rarest",
    // Share of the query's phrases.
    "phrases",
    // 1 if all terms of the name are in the query.
    "name_whole",
    // Occurrences in the body, damped: weighted by idf, by idf and topic, by idf and burst, and as BM25 does.
    "frequency",
    "frequency_topic",
    "frequency_burst",
    "bm25_body",
    // Logarithms of lengths in terms.
    "length_description",
    "length_body",
    "length_body_square",
];

/// Declares [`Weights`] with the names that the file uses.
macro_rules! weights {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The numbers of the ranking.
        ///
        /// [`Weights::builtin`] has the measured ones; programs that tune or measure the ranking set others.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Weights {
            $($(#[doc = $doc])+ pub $name: f32,)+
            /// Weights of the second stage, in the order of [`FEATURES`]. All 0: no second stage.
            pub second_stage: [f32; FEATURES.len()],
        }

        impl Weights {
            /// The names of the numbers, without those of the second stage.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            const fn zero() -> Self {
                Self { $($name: 0.0,)+ second_stage: [0.0; FEATURES.len()] }
            }

            fn number(&mut self, name: &str) -> Option<&mut f32> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => {
                        let feature = name.strip_prefix("stage2.")?;
                        let index = FEATURES.iter().position(|known| *known == feature)?;
                        self.second_stage.get_mut(index)
                    }
                }
            }
        }
    };
}

weights! {
    /// Weighted occurrences at which a term has half of its maximum effect (BM25's k1).
    k1,
    /// Added for the presence of a term, as a share of its maximum effect.
    presence,
    /// Each further occurrence in a field counts less: the exponent of the number of occurrences.
    occurrence_exponent,
    /// Preference for documents that contain more of the query's terms: an exponent.
    coverage_exponent,
    /// Preference for terms that are in name, tags or description of many of their documents: an exponent.
    topic_exponent,
    /// Preference for terms that are repeated in the bodies that have them: an exponent.
    burst_exponent,
    /// Weight of a phrase of two adjacent words, in addition to the two words.
    phrase,
    /// Weight of a single Chinese character or Korean syllable beside the pairs that contain it.
    character,
    /// Weight of a word that is common in the query's language, which is not English.
    foreign_stop_word,
    /// Weight of a word of a sentence that says what is asked for rather than about which topic.
    request_word,
    /// Weight of a word that differs in one letter from the word as written.
    typo_one,
    /// Weight of a word that differs in two letters from the word as written.
    typo_two,
    /// Weight of a word that begins with the word as written.
    completion,
    /// The same if the index also has the word as written.
    continuation,
    /// Weight of words that are joined in the query and apart in the text, or the reverse.
    joined,
    /// Weight of the bonus for names whose words occur in the query, if it is a sentence.
    name_bonus,
    /// The same for a query of few words, which may be a name.
    short_name_bonus,
    /// Reduction of that bonus by words of the name that are not in the query: an exponent.
    name_coverage_exponent,
    /// Weight of an occurrence in a name.
    name_weight,
    /// Weight of an occurrence in the tags.
    tags_weight,
    /// Weight of an occurrence in a description.
    description_weight,
    /// Weight of an occurrence in the headings.
    headings_weight,
    /// Weight of an occurrence in a body.
    body_weight,
    /// Strength of the normalisation by the length of the name, 0 to 1 (BM25F's b).
    name_b,
    /// The same for the tags.
    tags_b,
    /// The same for the description.
    description_b,
    /// The same for the headings.
    headings_b,
    /// The same for the body.
    body_b,
}

static BUILTIN: LazyLock<Weights> = LazyLock::new(|| {
    let parsed = Weights::parse(include_str!("weights.txt"));
    debug_assert!(parsed.is_ok(), "{parsed:?}");
    parsed.unwrap_or_else(|_| Weights::zero())
});

impl Weights {
    /// The weights in the file `weights.txt` of this crate.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Reads lines of the form `name = number`. Lines that start with `#` and empty lines have no effect. Numbers of
    /// the second stage are named `stage2.` and the feature; those that are left out are 0.
    ///
    /// # Errors
    /// Returns a message if a line has another form, names an unknown number, or if a number outside of the second
    /// stage is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut weights = Self::zero();
        let mut given = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            given.push(weights.set(line)?);
        }
        let missing = Self::NAMES.iter().find(|name| !given.contains(name));
        match missing {
            Some(name) => Err(format!("the weight {name} is missing")),
            None => Ok(weights),
        }
    }

    /// Sets one number, given as `name = number`. Returns its name.
    ///
    /// # Errors
    /// Returns a message if the text has another form or names an unknown number.
    pub fn set<'t>(&mut self, assignment: &'t str) -> Result<&'t str, String> {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| format!("{assignment:?} is not of the form name = number"))?;
        let name = name.trim();
        let value = value
            .trim()
            .parse::<f32>()
            .ok()
            .filter(|value| value.is_finite())
            .ok_or_else(|| format!("the weight {name} is not a number: {value:?}"))?;
        let number = self
            .number(name)
            .ok_or_else(|| format!("there is no weight {name:?}"))?;
        *number = value;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_complete() {
        let weights = Weights::parse(include_str!("weights.txt")).unwrap();
        assert_eq!(&weights, Weights::builtin());
        assert!(weights.k1 > 0.0);
    }

    #[test]
    fn wrong_lines_are_named() {
        let mut weights = Weights::builtin().clone();
        assert_eq!(weights.set("k1 = 2.5"), Ok("k1"));
        assert!((weights.k1 - 2.5).abs() < f32::EPSILON);
        for (line, expected) in [
            ("k1", "is not of the form"),
            ("k1 = x", "not a number"),
            ("k1 = inf", "not a number"),
            ("nothing = 1", "there is no weight"),
            ("stage2.nothing = 1", "there is no weight"),
        ] {
            assert!(weights.set(line).unwrap_err().contains(expected), "{line}");
        }
        assert!(
            Weights::parse("# nothing\n\n")
                .unwrap_err()
                .contains("k1 is missing")
        );
    }
}
