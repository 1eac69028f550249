//! PostgreSQL's full text search: weighted vectors with a GIN index, words joined by OR.

use std::io::Write as _;

use postgres::{Client, NoTls};

use crate::corpus::Skill;
use crate::{Engine, headings};

pub(crate) struct FullText(Client);

/// The format of COPY escapes these.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n");
    text.replace('\r', "\\r").replace('\0', "")
}

/// A vector has at most 1 MiB.
fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64 << 10)).unwrap_or(text)
}

impl FullText {
    pub(crate) fn new(url: &str, skills: &[&Skill]) -> Self {
        let mut client = Client::connect(url, NoTls).expect("DATABASE_URL can be reached");
        client
            .batch_execute(
                "DROP TABLE IF EXISTS engine_skills; DROP TABLE IF EXISTS engine_texts;
                 CREATE UNLOGGED TABLE engine_texts (number int, name text, description text, headings text, body text);",
            )
            .expect("tables can be made");
        let mut copy = client
            .copy_in("COPY engine_texts FROM STDIN")
            .expect("rows can be copied");
        for (number, skill) in skills.iter().enumerate() {
            let texts = [
                skill.document.name.as_str(),
                &skill.document.description,
                &headings(skill),
                &skill.document.body,
            ];
            let texts = texts.map(|text| escaped(shortened(text))).join("\t");
            writeln!(copy, "{number}\t{texts}").expect("a row can be copied");
        }
        copy.finish().expect("rows can be copied");
        client
            .batch_execute(
                "CREATE UNLOGGED TABLE engine_skills AS SELECT number,
                     setweight(to_tsvector('english', replace(name, '-', ' ')), 'A') || setweight(to_tsvector('english', description), 'B')
                     || setweight(to_tsvector('english', headings), 'C') || setweight(to_tsvector('english', body), 'D') AS words
                 FROM engine_texts;
                 DROP TABLE engine_texts;
                 CREATE INDEX ON engine_skills USING gin (words); ANALYZE engine_skills;",
            )
            .expect("the index can be made");
        Self(client)
    }
}

impl Engine for FullText {
    fn search(&mut self, query: &str) -> Vec<usize> {
        let rows = self.0.query(
            "SELECT number FROM engine_skills,
                 (SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery AS wanted) q
             WHERE words @@ wanted ORDER BY ts_rank_cd(words, wanted, 1) DESC, number LIMIT 10",
            &[&query],
        );
        rows.expect("a search succeeds")
            .iter()
            .map(|row| row.get::<_, i32>(0) as usize)
            .collect()
    }
}
