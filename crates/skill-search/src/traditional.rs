//! Traditional Chinese characters and their simplified forms, which are the same character to a search.

use std::sync::LazyLock;

/// Pairs of a traditional and its simplified character, sorted by the traditional one.
static PAIRS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let lines = include_str!("traditional.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| {
            let mut chars = pair.chars();
            Some((chars.next()?, chars.next()?))
        })
        .collect()
});

/// The simplified form of a traditional character; any other character as it is.
pub(crate) fn simplified(c: char) -> char {
    if !matches!(c, '\u{3400}'..='\u{9fff}') {
        return c;
    }
    let found = PAIRS.binary_search_by_key(&c, |(traditional, _)| *traditional);
    found
        .ok()
        .and_then(|index| PAIRS.get(index))
        .map_or(c, |(_, simplified)| *simplified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traditional_characters_become_simplified() {
        for (traditional, expected) in [
            ('\u{767c}', '\u{53d1}'),
            ('\u{6a94}', '\u{6863}'),
            ('a', 'a'),
            ('\u{6587}', '\u{6587}'),
        ] {
            assert_eq!(simplified(traditional), expected);
        }
        assert!(PAIRS.len() > 2_900);
        assert!(PAIRS.is_sorted_by_key(|(traditional, _)| *traditional));
        assert!(PAIRS.iter().all(|(_, simple)| simplified(*simple) == *simple));
    }
}
