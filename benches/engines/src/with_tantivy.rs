//! tantivy, with the field weights of skillkeep as boosts.

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
    TokenStream as _,
};
use tantivy::{Index, Searcher, TantivyDocument, Term};

use crate::corpus::Skill;
use crate::{Engine, K, headings};

const TOKENIZER: &str = "english";
const WEIGHTS: [f32; 4] = [9.0, 3.0, 1.5, 1.0];

pub(crate) struct Tantivy {
    searcher: Searcher,
    analyzer: TextAnalyzer,
    fields: [Field; 4],
}

fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(40))
        .filter(LowerCaser)
        .filter(StopWordFilter::new(Language::English).expect("tantivy has English stop words"))
        .filter(Stemmer::new(Language::English))
        .build()
}

impl Tantivy {
    pub(crate) fn new(skills: &[&Skill]) -> Self {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let options = TextOptions::default().set_indexing_options(indexing);
        let mut schema = Schema::builder();
        let fields = ["name", "description", "headings", "body"]
            .map(|name| schema.add_text_field(name, options.clone()));
        let number_field = schema.add_u64_field("number", FAST);
        let index = Index::create_in_ram(schema.build());
        index.tokenizers().register(TOKENIZER, analyzer());
        let mut writer = index
            .writer_with_num_threads(1, 200 << 20)
            .expect("a writer can be made");
        for (number, skill) in skills.iter().enumerate() {
            let mut document = TantivyDocument::default();
            let headings = headings(skill);
            let texts = [
                skill.document.name.as_str(),
                &skill.document.description,
                &headings,
                &skill.document.body,
            ];
            for (field, text) in fields.into_iter().zip(texts) {
                document.add_text(field, text);
            }
            document.add_u64(number_field, number as u64);
            writer.add_document(document).expect("a document can be added");
        }
        writer.commit().expect("the index can be written");
        let searcher = index.reader().expect("the index can be read").searcher();
        Self {
            searcher,
            analyzer: analyzer(),
            fields,
        }
    }
}

impl Engine for Tantivy {
    fn search(&mut self, query: &str) -> Vec<usize> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        let mut tokens = self.analyzer.token_stream(query);
        while let Some(token) = tokens.next() {
            for (field, weight) in self.fields.into_iter().zip(WEIGHTS) {
                let term = TermQuery::new(
                    Term::from_field_text(field, &token.text),
                    IndexRecordOption::WithFreqs,
                );
                clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(term), weight))));
            }
        }
        let query = BooleanQuery::new(clauses);
        let found = self
            .searcher
            .search(&query, &TopDocs::with_limit(K).order_by_score());
        let numbers = |address: tantivy::DocAddress| {
            let reader = self.searcher.segment_reader(address.segment_ord);
            let column = reader.fast_fields().u64("number").expect("the field exists");
            column.first(address.doc_id).map(|number| number as usize)
        };
        found
            .expect("a search succeeds")
            .into_iter()
            .filter_map(|(_, address)| numbers(address))
            .collect()
    }
}
