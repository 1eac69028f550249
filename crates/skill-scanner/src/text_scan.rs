//! Scans one text file: hidden text line by line, patterns block by block.

use crate::blocks::{Block, BlockBuilder};
use crate::checks::{Check, decoded_tags, hidden_text};
use crate::collector::{Collector, Match};
use crate::context;
use crate::encoded::decoded_texts;
use crate::excerpt::{excerpt, floor_boundary};
use crate::file_kind::FileKind;
use crate::lines::{Line, lines};
use crate::markdown::{Markdown, Region};
use crate::normalise::push_normalised;
use crate::rule_source::{Description, Within};
use crate::ruleset::{CompiledRule, Ruleset};
use crate::severity::Severity;

/// How many matches of a rule on one line are looked at. The worst counts.
const MAX_MATCHES_PER_LINE: usize = 8;
/// How many matches wait for the other half of their rule, for each rule.
const MAX_WAITING: usize = 20;
/// How much of a line the fingerprint covers around the match, in bytes.
const FINGERPRINT_BYTES: usize = 200;
/// More blank lines than any layout has.
const MIN_BLANK_LINES: usize = 60;
/// How many encoded texts of a file are decoded and searched.
const MAX_DECODED: usize = 256;

/// What is known about a file before it is read.
pub(crate) struct TextScan<'a> {
    pub(crate) rules: &'static Ruleset,
    /// For each rule, whether it applies to the file.
    pub(crate) active: &'a [bool],
    pub(crate) path: &'a str,
    pub(crate) kind: FileKind,
    pub(crate) is_about_security: bool,
    /// Whether the path says that the file is about attacks.
    pub(crate) is_about_attacks: bool,
}

/// A match of a rule whose other half may be anywhere in the file.
struct Waiting {
    rule: usize,
    severity: Severity,
    line: u32,
    excerpt: String,
    matched: String,
}

/// What is learnt while the file is read.
#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// For each rule, whether its other half was found.
    has_other_half: Vec<bool>,
    blank_lines: usize,
    decoded: usize,
}

impl TextScan<'_> {
    pub(crate) fn run(&self, text: &[u8], findings: &mut Collector<'_>) {
        let is_markdown = matches!(self.kind, FileKind::SkillMd | FileKind::Document);
        let mut blocks = BlockBuilder::new(is_markdown.then(Markdown::default));
        let mut state = State {
            has_other_half: vec![false; self.rules.compiled.len()],
            ..State::default()
        };
        for line in lines(text) {
            self.line(&line, &mut state, findings);
            if let Some(block) = blocks.add(&line) {
                self.block(&block, &mut state, findings);
            }
        }
        if let Some(block) = blocks.finish() {
            self.block(&block, &mut state, findings);
        }
        for waiting in state.waiting {
            if state.has_other_half.get(waiting.rule) == Some(&true) {
                findings.add(Match {
                    rule: waiting.rule,
                    severity: waiting.severity,
                    path: self.path,
                    line: Some(waiting.line),
                    excerpt: waiting.excerpt,
                    matched: &waiting.matched,
                });
            }
        }
    }

    /// Checks of one line as it is in the file.
    fn line(&self, line: &Line<'_>, state: &mut State, findings: &mut Collector<'_>) {
        if line.text.trim().is_empty() {
            state.blank_lines += usize::from(line.is_start);
            return;
        }
        if state.blank_lines >= MIN_BLANK_LINES {
            self.hidden(Check::LinePadding, line, (0, line.text.len()), findings);
        }
        state.blank_lines = 0;
        for (check, start, end) in hidden_text(&line.text) {
            self.hidden(check, line, (start, end), findings);
        }
        if state.decoded < MAX_DECODED {
            self.encoded(line, state, findings);
        }
    }

    fn hidden(
        &self,
        check: Check,
        line: &Line<'_>,
        (start, end): (usize, usize),
        findings: &mut Collector<'_>,
    ) {
        let shown = if check == Check::TagCharacters {
            let text = decoded_tags(&line.text);
            excerpt(&text, 0, text.len(), None)
        } else {
            excerpt(&line.text, start, end, None)
        };
        for (index, rule) in self.rules.with_check(check) {
            if self.active.get(index) == Some(&true) {
                findings.add(Match {
                    rule: index,
                    severity: rule.source.severity,
                    path: self.path,
                    line: Some(line.number),
                    excerpt: shown.clone(),
                    matched: near(&line.text, start, end),
                });
            }
        }
    }

    /// Decodes what is encoded in the line, and reports it if it is what a rule of high severity or worse finds.
    fn encoded(&self, line: &Line<'_>, state: &mut State, findings: &mut Collector<'_>) {
        for decoded in decoded_texts(&line.text) {
            state.decoded += 1;
            let mut text = String::new();
            push_normalised(&decoded.text, &mut text);
            let is_bad = |rule: usize| {
                let rule = self.rules.compiled.get(rule).filter(|rule| rule.with.is_none());
                rule.is_some_and(|rule| rule.source.severity >= Severity::High && !rule.source.is_secret)
            };
            if !self.rules.matching(text.as_bytes()).any(is_bad) {
                continue;
            }
            for (index, rule) in self.rules.with_check(Check::EncodedText) {
                if self.active.get(index) == Some(&true) {
                    findings.add(Match {
                        rule: index,
                        severity: rule.source.severity,
                        path: self.path,
                        line: Some(line.number),
                        excerpt: excerpt(&text, 0, text.len(), None),
                        matched: near(&line.text, decoded.start, decoded.end),
                    });
                }
            }
        }
    }

    /// Searches a block with all patterns.
    fn block(&self, block: &Block, state: &mut State, findings: &mut Collector<'_>) {
        let text = block.text.as_bytes();
        for (index, rule) in self.rules.compiled.iter().enumerate() {
            let is_needed = rule.source.within == Within::File && self.active.get(index) == Some(&true);
            if let (true, Some(with), Some(found)) =
                (is_needed, &rule.with, state.has_other_half.get_mut(index))
            {
                *found = *found || with.is_match(text);
            }
        }
        for index in self.rules.matching(text) {
            let Some(rule) = self
                .rules
                .compiled
                .get(index)
                .filter(|_| self.active.get(index) == Some(&true))
            else {
                continue;
            };
            let is_split = rule.source.within == Within::Block && rule.with.is_some();
            if !is_split || rule.with.as_ref().is_some_and(|with| with.is_match(text)) {
                self.matches(index, rule, block, state, findings);
            }
        }
    }

    /// All matches of one rule in a block.
    fn matches(
        &self,
        index: usize,
        rule: &CompiledRule,
        block: &Block,
        state: &mut State,
        findings: &mut Collector<'_>,
    ) {
        let Some(pattern) = &rule.pattern else {
            return;
        };
        let (mut from, mut current_line, mut on_line) = (0, usize::MAX, 0);
        while let Some(captures) = pattern.captures_at(block.text.as_bytes(), from) {
            let Some(whole) = captures.get(0) else {
                return;
            };
            let secret = captures.name("secret").unwrap_or(whole);
            let first = block.line_at(whole.start());
            on_line = if first == current_line { on_line + 1 } else { 1 };
            current_line = first;
            let next_line = block
                .lines
                .get(first + 1)
                .map_or(block.text.len(), |line| line.offset);
            from = if on_line >= MAX_MATCHES_PER_LINE {
                next_line.max(whole.end())
            } else {
                whole.end()
            };
            from = from.max(whole.start() + 1);
            let place = Place {
                start: floor_boundary(&block.text, whole.start()),
                end: floor_boundary(&block.text, whole.end()),
                secret: rule.source.is_secret.then(|| (secret.start(), secret.end())),
                first,
                last: block.line_at(whole.end().saturating_sub(1)).max(first),
            };
            self.found(index, rule, block, &place, state, findings);
            if from >= block.text.len() {
                return;
            }
        }
    }

    fn found(
        &self,
        index: usize,
        rule: &CompiledRule,
        block: &Block,
        place: &Place,
        state: &mut State,
        findings: &mut Collector<'_>,
    ) {
        let Some(line) = block.lines.get(place.first) else {
            return;
        };
        let parts = &rule.source.parts;
        let matched_lines = block.line_texts(place.first, place.last);
        let is_excluded = (!parts.is_empty() && !parts.contains(&line.region.part))
            || rule
                .unless
                .as_ref()
                .is_some_and(|unless| unless.is_match(matched_lines.as_bytes()));
        if is_excluded {
            return;
        }
        let matched = near(&block.text, place.start, place.end);
        let waiting = Waiting {
            rule: index,
            severity: self.severity(rule, block, place, line.region),
            line: line.number,
            excerpt: excerpt(&block.text, place.start, place.end, place.secret),
            matched: matched.to_owned(),
        };
        if rule.source.within == Within::File && rule.with.is_some() {
            if state.waiting.iter().filter(|other| other.rule == index).count() < MAX_WAITING {
                state.waiting.push(waiting);
            }
            return;
        }
        findings.add(Match {
            rule: index,
            severity: waiting.severity,
            path: self.path,
            line: Some(waiting.line),
            excerpt: waiting.excerpt,
            matched,
        });
    }

    /// The rule's severity, lowered if the text describes an attack.
    fn severity(&self, rule: &CompiledRule, block: &Block, place: &Place, region: Region) -> Severity {
        let source = &rule.source;
        let severity = match source.document_severity {
            Some(severity) if self.kind != FileKind::Script => severity,
            Some(_) | None => source.severity,
        };
        if source.description == Description::Ignored {
            return severity;
        }
        let line_start = block.lines.get(place.first).map_or(0, |line| line.offset);
        let before = block.text.get(line_start..place.start).unwrap_or_default();
        let line = block.line_texts(place.first, place.last);
        let after = line
            .get(place.end.saturating_sub(line_start)..)
            .unwrap_or_default();
        let is_quoted =
            source.description == Description::QuotesToo && before.trim_end().ends_with(['"', '\'', '`']);
        let is_description = is_quoted
            || region.is_about_attacks
            || self.is_about_attacks
            || context::is_description(before, [before, after])
            || context::is_description(introduction(block, place.first), ["", ""]);
        if is_description {
            severity.lower().lower()
        } else if self.is_about_security {
            severity.lower()
        } else {
            severity
        }
    }
}

/// Where a match is in a block.
struct Place {
    start: usize,
    end: usize,
    secret: Option<(usize, usize)>,
    /// Index of the lines on which it begins and ends.
    first: usize,
    last: usize,
}

/// The line before a match, if it introduces the match: it ends with a colon or is a comment.
fn introduction(block: &Block, first: usize) -> &str {
    let Some(previous) = first.checked_sub(1) else {
        return "";
    };
    let text = block.line_texts(previous, previous).trim();
    let is_introduction = text.ends_with(':') || text.starts_with('#') || text.starts_with("//");
    if is_introduction { text } else { "" }
}

/// The lines of a match, or the part of them around it if they are long.
fn near(text: &str, start: usize, end: usize) -> &str {
    let from = floor_boundary(text, start.saturating_sub(FINGERPRINT_BYTES));
    let to = floor_boundary(text, end.saturating_add(FINGERPRINT_BYTES));
    let before = text.get(from..start).unwrap_or_default();
    let after = text.get(end..to).unwrap_or_default();
    let from = before.rfind('\n').map_or(from, |offset| from + offset + 1);
    let to = if text.get(..end).is_some_and(|matched| matched.ends_with('\n')) {
        end
    } else {
        after.find('\n').map_or(to, |offset| end + offset)
    };
    text.get(from..to).unwrap_or_default()
}
