//! Requests in six languages find skills that are written in them, among skills in English.

use skill_search::{Document, Query, SearchIndex};

#[path = "languages/skills.rs"]
mod skills;
use skills::{CHINESE, ENGLISH, FRENCH, GERMAN, JAPANESE, KOREAN, REQUESTS, SPANISH};

fn index() -> SearchIndex<&'static str> {
    let mut index = SearchIndex::new();
    let skills = [GERMAN, FRENCH, SPANISH, CHINESE, JAPANESE, KOREAN]
        .into_iter()
        .flatten();
    for (name, description, body) in skills.chain(ENGLISH) {
        index.upsert(&Document {
            id: name,
            name,
            description,
            tags: &[],
            headings: &[],
            body,
        });
    }
    index
}

fn first_five(index: &SearchIndex<&'static str>, query: &str) -> Vec<&'static str> {
    let hits = index.search(&Query::new(query), 5, |_| true);
    hits.into_iter().map(|hit| hit.id).collect()
}

#[test]
fn requests_in_other_languages_find_their_skill() {
    let index = index();
    let mut missed = Vec::new();
    let mut first = 0;
    for (query, name) in REQUESTS {
        let found = first_five(&index, query);
        first += usize::from(found.first() == Some(&name));
        if !found.contains(&name) {
            missed.push((query, found));
        }
    }
    assert!(missed.len() <= 2, "{} missed: {missed:#?}", missed.len());
    assert!(first >= 26, "only {first} are the first hit");
}

#[test]
fn one_character_is_enough() {
    let index = index();
    for (query, name) in [
        ("税", "fapiao-zhengli"),
        ("稅", "fapiao-zhengli"),
        ("宿", "ryokou-keikaku"),
        ("짜", "sikdan"),
    ] {
        assert!(first_five(&index, query).contains(&name), "{query}");
    }
}

#[test]
fn traditional_and_simplified_characters_are_the_same() {
    let index = index();
    for (one, other) in [("電子發票", "电子发票"), ("數據庫", "数据库"), ("學生", "学生")] {
        assert!(!first_five(&index, one).is_empty());
        assert_eq!(first_five(&index, one), first_five(&index, other), "{one}");
    }
}

#[test]
fn umlauts_may_be_spelled_out() {
    let index = index();
    for query in ["rechnungen prüfen", "Rechnungen pruefen", "rechnungen prufen"] {
        assert_eq!(
            first_five(&index, query).first(),
            Some(&"rechnungen-pruefen"),
            "{query}"
        );
    }
    for query in ["ausschließen", "ausschliessen", "AUSSCHLIESSEN"] {
        assert_eq!(
            first_five(&index, query).first(),
            Some(&"stellenanzeige"),
            "{query}"
        );
    }
    for query in ["kündigung", "kuendigung", "kundigung", "Kündigungen"] {
        assert_eq!(
            first_five(&index, query).first(),
            Some(&"kuendigung-schreiben"),
            "{query}"
        );
    }
}

#[test]
fn inflected_words_match_in_their_language() {
    let index = index();
    for (query, name) in [
        ("doppelter Beleg", "rechnungen-pruefen"),
        ("depense", "notes-de-frais"),
        ("ingredient restant", "recette-de-cuisine"),
        ("respuesta amable", "respuestas-a-clientes"),
        ("trenes", "itinerario-de-viaje"),
    ] {
        assert_eq!(first_five(&index, query).first(), Some(&name), "{query}");
    }
}
