//! What meaning brings to wishes, in catalogs of some sizes, and with all skills counted that fulfil a wish.

use std::collections::BTreeSet;

use skill_embeddings::Embedding;

use crate::corpus::{Request, Skills};
use crate::methods::{Index, Method};
use crate::statistics;
use crate::{WISH_K, shown};

/// Skills of the catalogs: those of the wishes, and others drawn at random.
const SIZES: [usize; 3] = [500, 1_000, 2_000];
/// Any number: the catalogs are the same in every run.
const SEED: u64 = 1;

const METHODS: [(Method, &str); 3] = [
    (Method::Lexical, "words alone"),
    (Method::Passages, "meaning alone"),
    (Method::Chosen, "what searches do"),
];

/// Prints the share of wishes whose skill is among the first five.
pub(crate) fn measure(
    title: &str,
    skills: &Skills,
    embeddings: &[Vec<Embedding>],
    wishes: &[Request],
    queries: &[Embedding],
) {
    let all: Vec<usize> = (0..skills.ids.len()).collect();
    let index = Index::new(skills, embeddings, &all);
    println!(
        "\n{title}: a skill that fulfils it among the first {WISH_K} of {}",
        all.len()
    );
    compare(&index, wishes, queries, |wish, id| {
        wish.skill == id || wish.others.contains(&id)
    });
    for size in SIZES {
        let index = Index::new(skills, embeddings, &draw(size, skills.ids.len(), wishes));
        println!("\n{title}: its own skill among the first {WISH_K} of {size}");
        // Others were judged among the first of all skills only.
        compare(&index, wishes, queries, |wish, id| wish.skill == id);
    }
}

fn compare(
    index: &Index,
    wishes: &[Request],
    queries: &[Embedding],
    fulfils: impl Fn(&Request, usize) -> bool,
) {
    let mut of_words: Vec<f64> = Vec::new();
    for (method, name) in METHODS {
        let found = wishes.iter().zip(queries).map(|(wish, query)| {
            let first = method.rank(index, &wish.text, query, WISH_K);
            f64::from(u8::from(first.into_iter().any(|id| fulfils(wish, id))))
        });
        let found: Vec<f64> = found.collect();
        if method == Method::Lexical {
            of_words.clone_from(&found);
        }
        let more: Vec<f64> = found
            .iter()
            .zip(&of_words)
            .map(|(one, other)| one - other)
            .collect();
        println!("{name:<30} {}   to words alone {}", shown(&found), shown(&more));
    }
}

/// `size` of `all` skills, among them those of the wishes.
fn draw(size: usize, all: usize, wishes: &[Request]) -> Vec<usize> {
    let mut drawn: BTreeSet<usize> = wishes.iter().map(|wish| wish.skill).collect();
    let mut state = SEED;
    while drawn.len() < size.min(all) {
        drawn.insert((statistics::next(&mut state) % all as u64) as usize);
    }
    drawn.into_iter().collect()
}
