//! Groups lines into blocks, so that a sentence or a command that is wrapped over lines is matched as a whole.

use crate::lines::Line;
use crate::markdown::{Markdown, Region};
use crate::normalise::push_normalised;

/// A block ends when its text is longer. With one more piece of [`MAX_PIECE_BYTES`](crate::lines::MAX_PIECE_BYTES), which
/// normalisation makes up to 11 times longer, a block has less than 64 KiB.
const MAX_BLOCK_BYTES: usize = 4 * 1024;
const MAX_BLOCK_LINES: usize = 64;
/// How many lines a block repeats from the one before, if no blank line is between them.
const OVERLAP_LINES: usize = 3;
const MAX_OVERLAP_BYTES: usize = 1024;

/// Where a line begins in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineStart {
    pub(crate) offset: usize,
    pub(crate) number: u32,
    pub(crate) region: Region,
}

/// Adjacent lines without a blank one, normalised.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) text: String,
    /// At least one if the text is not empty. Ordered by offset.
    pub(crate) lines: Vec<LineStart>,
}

impl Block {
    /// Index in `lines` of the line that contains the byte.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.lines
            .partition_point(|line| line.offset <= offset)
            .saturating_sub(1)
    }

    /// The text of lines, by index in `lines`, both ends included.
    pub(crate) fn line_texts(&self, first: usize, last: usize) -> &str {
        let from = self.lines.get(first).map_or(0, |line| line.offset);
        let to = self
            .lines
            .get(last.saturating_add(1))
            .map_or(self.text.len(), |line| line.offset);
        self.text.get(from..to).unwrap_or_default()
    }

    fn push(&mut self, line: &Line<'_>, region: Region) {
        self.lines.push(LineStart {
            offset: self.text.len(),
            number: line.number,
            region,
        });
        // A command that continues on the next line is one line to the shell.
        let (text, end) = match line.text.strip_suffix('\\') {
            Some(continued) => (continued, ' '),
            None => (&*line.text, '\n'),
        };
        push_normalised(text, &mut self.text);
        self.text.push(end);
    }

    fn is_full(&self) -> bool {
        self.text.len() > MAX_BLOCK_BYTES || self.lines.len() >= MAX_BLOCK_LINES
    }

    /// The last lines as the beginning of the next block.
    fn overlap(&self) -> Self {
        let first = self.lines.len().saturating_sub(OVERLAP_LINES);
        let from = self.lines.get(first).map_or(self.text.len(), |line| line.offset);
        let text = self.text.get(from..).unwrap_or_default();
        if text.len() > MAX_OVERLAP_BYTES {
            return Self::default();
        }
        let lines = self.lines.iter().skip(first).map(|line| LineStart {
            offset: line.offset.saturating_sub(from),
            ..*line
        });
        Self {
            text: text.to_owned(),
            lines: lines.collect(),
        }
    }
}

/// Builds the blocks of one file.
pub(crate) struct BlockBuilder {
    block: Block,
    markdown: Option<Markdown>,
    region: Region,
    /// How many lines of the block were in the one before.
    repeated: usize,
}

impl BlockBuilder {
    /// `markdown` is `None` for a file that is not Markdown.
    pub(crate) fn new(markdown: Option<Markdown>) -> Self {
        Self {
            block: Block::default(),
            markdown,
            region: Region::default(),
            repeated: 0,
        }
    }

    /// Adds a line, and returns the block that it ended, if any.
    pub(crate) fn add(&mut self, line: &Line<'_>) -> Option<Block> {
        if line.is_start {
            self.region = self
                .markdown
                .as_mut()
                .map(|state| state.next(&line.text))
                .unwrap_or_default();
        }
        if line.text.trim().is_empty() {
            return self.finish();
        }
        self.block.push(line, self.region);
        if !self.block.is_full() {
            return None;
        }
        let next = self.block.overlap();
        self.repeated = next.lines.len();
        Some(std::mem::replace(&mut self.block, next))
    }

    /// Returns the lines that no returned block contains.
    pub(crate) fn finish(&mut self) -> Option<Block> {
        let block = std::mem::take(&mut self.block);
        let repeated = std::mem::take(&mut self.repeated);
        (block.lines.len() > repeated).then_some(block)
    }
}
