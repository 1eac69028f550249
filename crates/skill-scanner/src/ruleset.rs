//! The rules, compiled.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};
use sha2::{Digest as _, Sha256};

use crate::checks::Check;
use crate::context;
use crate::rule::Rule;
use crate::rule_source::{RuleFile, RuleSource};

/// Increased when the code changes what the same rules find, so that a registry scans again.
const ENGINE_VERSION: u32 = 1;

/// How many patterns are searched in one pass. The states of an automaton are combinations of how far each of its patterns
/// has matched: with all patterns in one automaton they do not fit into memory, and the search is ten times slower.
const PATTERNS_PER_SET: usize = 6;
/// How much memory a set may take while it searches, in bytes.
const SET_BYTES: usize = 2 * 1024 * 1024;

const FILES: [&str; 17] = [
    include_str!("../rules/archive.toml"),
    include_str!("../rules/binary.toml"),
    include_str!("../rules/coverage.toml"),
    include_str!("../rules/credential_access.toml"),
    include_str!("../rules/exfiltration.toml"),
    include_str!("../rules/fake_prerequisite.toml"),
    include_str!("../rules/harmful_command.toml"),
    include_str!("../rules/hidden_text.toml"),
    include_str!("../rules/host_run.toml"),
    include_str!("../rules/memory_file.toml"),
    include_str!("../rules/obfuscation.toml"),
    include_str!("../rules/persistence.toml"),
    include_str!("../rules/prompt_injection.toml"),
    include_str!("../rules/refusal_suppression.toml"),
    include_str!("../rules/secret.toml"),
    include_str!("../rules/squatting.toml"),
    include_str!("../rules/tool_grant.toml"),
];

/// A rule with its compiled patterns.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) source: RuleSource,
    pub(crate) pattern: Option<Regex>,
    pub(crate) with: Option<Regex>,
    pub(crate) unless: Option<Regex>,
    pub(crate) path: Option<Regex>,
}

#[derive(Debug)]
pub(crate) struct Ruleset {
    /// Ordered by id, as `compiled` is.
    pub(crate) rules: Vec<Rule>,
    pub(crate) compiled: Vec<CompiledRule>,
    sets: Vec<PatternSet>,
    pub(crate) version: String,
}

/// Finds in one pass which of some patterns match a text at all.
#[derive(Debug)]
struct PatternSet {
    /// Index of the rule of each pattern.
    rules: Vec<usize>,
    patterns: RegexSet,
}

/// Why the built-in rules cannot be used.
#[derive(Debug, thiserror::Error)]
enum RulesetError {
    #[error("a rule file is invalid: {0}")]
    Toml(#[from] toml::de::Error),
    #[error("a pattern is invalid: {0}")]
    Pattern(String),
}

/// # Panics
/// If a built-in rule is invalid. The rules are constants, and the first test of this module loads them.
#[expect(clippy::panic, reason = "the rules are constants, and a test loads them")]
static RULESET: LazyLock<Ruleset> = LazyLock::new(|| match load() {
    Ok(ruleset) => ruleset,
    Err(error) => panic!("{error}"),
});

pub(crate) fn ruleset() -> &'static Ruleset {
    &RULESET
}

impl Ruleset {
    /// The rules whose pattern matches the text, by index.
    pub(crate) fn matching<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.sets.iter().flat_map(move |set| {
            let matches = set.patterns.matches(text);
            matches
                .into_iter()
                .filter_map(|pattern| set.rules.get(pattern).copied())
        })
    }

    /// The rules with a check in code.
    pub(crate) fn with_check(&self, check: Check) -> impl Iterator<Item = (usize, &CompiledRule)> {
        self.compiled
            .iter()
            .enumerate()
            .filter(move |(_, rule)| rule.source.check == Some(check))
    }
}

fn load() -> Result<Ruleset, RulesetError> {
    let mut pairs = Vec::new();
    for text in FILES {
        let file: RuleFile = toml::from_str(text)?;
        for source in file.rules {
            let rule = Rule {
                id: source.id.clone(),
                family: file.family,
                title: source.title.clone(),
                severity: source.severity,
                reason: source.reason.clone(),
                advice: source.advice.clone(),
                positive: source.positive.clone(),
                negative: source.negative.clone(),
            };
            pairs.push((rule, compile(source)?));
        }
    }
    pairs.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    let (rules, compiled): (Vec<Rule>, Vec<CompiledRule>) = pairs.into_iter().unzip();
    let with_pattern: Vec<(usize, &str)> = compiled
        .iter()
        .enumerate()
        .filter_map(|(index, rule)| Some((index, rule.source.pattern.as_deref()?)))
        .collect();
    let sets = with_pattern
        .chunks(PATTERNS_PER_SET)
        .map(pattern_set)
        .collect::<Result<_, _>>()?;
    Ok(Ruleset {
        rules,
        compiled,
        sets,
        version: version(),
    })
}

fn pattern_set(patterns: &[(usize, &str)]) -> Result<PatternSet, RulesetError> {
    let set = RegexSetBuilder::new(patterns.iter().map(|(_, pattern)| pattern))
        .unicode(false)
        .multi_line(true)
        .size_limit(context::PATTERN_BYTES)
        .dfa_size_limit(SET_BYTES)
        .build()
        .map_err(|error| RulesetError::Pattern(error.to_string()))?;
    Ok(PatternSet {
        rules: patterns.iter().map(|(index, _)| *index).collect(),
        patterns: set,
    })
}

fn compile(source: RuleSource) -> Result<CompiledRule, RulesetError> {
    let regex = |pattern: &Option<String>| match pattern {
        None => Ok(None),
        Some(pattern) => match context::compile(pattern) {
            Some(regex) => Ok(Some(regex)),
            None => Err(RulesetError::Pattern(format!("{}: {pattern}", source.id))),
        },
    };
    Ok(CompiledRule {
        pattern: regex(&source.pattern)?,
        with: regex(&source.with)?,
        unless: regex(&source.unless)?,
        path: regex(&source.path)?,
        source,
    })
}

/// Covers everything that decides what is found: rules, words of the context, and the code by its number.
fn version() -> String {
    let mut hasher = Sha256::new();
    hasher.update(ENGINE_VERSION.to_be_bytes());
    for text in FILES.iter().chain(&context::PATTERNS) {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    let digits: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn built_in_rules_load() {
        if let Err(error) = load() {
            panic!("{error}");
        }
    }

    #[test]
    fn ids_are_unique_and_lowercase_with_hyphens() {
        let ids: BTreeSet<&str> = ruleset().rules.iter().map(|rule| &*rule.id).collect();
        assert_eq!(ids.len(), ruleset().rules.len());
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(ids.iter().all(|id| is_id(id)), "{ids:?}");
    }

    #[test]
    fn every_rule_has_exactly_one_way_to_match() {
        for rule in &ruleset().compiled {
            let source = &rule.source;
            let ways = usize::from(source.pattern.is_some()) + usize::from(source.check.is_some());
            assert!(ways == 1 || (ways == 0 && source.path.is_some()), "{}", source.id);
        }
    }

    #[test]
    fn texts_are_sentences_of_bounded_length() {
        for rule in &ruleset().rules {
            assert!(
                rule.title.chars().count() <= 60 && !rule.title.ends_with('.'),
                "{}",
                rule.id
            );
            for text in [&rule.reason, &rule.advice] {
                assert!(
                    text.ends_with('.') && text.chars().count() <= 240,
                    "{}: {text}",
                    rule.id
                );
            }
        }
    }
}
