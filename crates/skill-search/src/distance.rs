//! The number of typing errors between two words.

/// Longer words are not compared.
const MAX_COMPARED_CHARS: usize = 64;

/// The Damerau-Levenshtein distance of two words if it is at most `limit`: the number of letters that are missing, added,
/// wrong, or swapped with the next one (optimal string alignment). Words of more than 64 characters are never similar.
pub(crate) fn distance(one: &[char], other: &[char], limit: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > limit || one.len().max(other.len()) > MAX_COMPARED_CHARS {
        return None;
    }
    // The rows of the two previous letters of `one` and the current row; column j is for the first j letters of `other`.
    let mut rows = [[0_usize; MAX_COMPARED_CHARS + 1]; 3];
    let [before, previous, current] = &mut rows;
    let (mut before, mut previous, mut current) = (before, previous, current);
    for (column, cost) in previous.iter_mut().enumerate() {
        *cost = column;
    }
    let mut last_letter = None;
    for (row, letter) in (1..).zip(one.iter().copied()) {
        let mut lowest = row;
        let mut left = row;
        if let Some(first) = current.first_mut() {
            *first = row;
        }
        let mut last_other = None;
        for (column, other_letter) in (0..).zip(other.iter().copied()) {
            let at = |costs: &[usize; MAX_COMPARED_CHARS + 1], column: usize| {
                costs.get(column).copied().unwrap_or(usize::MAX / 2)
            };
            let replaced = at(previous, column) + usize::from(letter != other_letter);
            let mut cost = replaced.min(at(previous, column + 1) + 1).min(left + 1);
            if column > 0 && last_letter == Some(other_letter) && last_other == Some(letter) {
                cost = cost.min(at(before, column - 1) + 1);
            }
            if let Some(entry) = current.get_mut(column + 1) {
                *entry = cost;
            }
            lowest = lowest.min(cost);
            left = cost;
            last_other = Some(other_letter);
        }
        if lowest > limit + 1 {
            return None;
        }
        last_letter = Some(letter);
        (before, previous, current) = (previous, current, before);
    }
    let distance = previous.get(other.len()).copied()?;
    (distance <= limit).then_some(distance)
}

/// The number of typing errors that are corrected in a word of `letters` letters.
pub(crate) const fn corrected_errors(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(one: &str, other: &str) -> Option<usize> {
        let [one, other] = [one, other].map(|word| word.chars().collect::<Vec<_>>());
        distance(&one, &other, 2)
    }

    #[test]
    fn distances_count_typing_errors() {
        for (one, other, expected) in [
            ("harpsicord", "harpsichord", Some(1)),
            ("reveiw", "review", Some(1)),
            ("review", "reviwe", Some(1)),
            ("deplyo", "deploy", Some(1)),
            ("kubernets", "kubernetes", Some(1)),
            ("kubrenets", "kubernetes", Some(2)),
            ("same", "same", Some(0)),
            ("", "ab", Some(2)),
            ("abc", "xyz", None),
            ("", "abc", None),
            ("pr\u{fc}fen", "prufen", Some(1)),
        ] {
            assert_eq!(of(one, other), expected, "{one} {other}");
        }
        let long = "x".repeat(MAX_COMPARED_CHARS + 1);
        assert_eq!(of(&long, &long), None);
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric(one in "[abc]{0,9}", other in "[abc]{0,9}") {
            prop_assert_eq!(of(&one, &other), of(&other, &one));
            prop_assert_eq!(of(&one, &one), Some(0));
        }
    }
}
