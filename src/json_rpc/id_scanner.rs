//! Finds the id of a request that is too long to be read whole.

use serde_json::Value;

/// The longest key that is compared, and the longest id, in bytes.
const MAX_KEY: usize = 8;
const MAX_ID: usize = 300;

/// Reads a JSON object in parts, without keeping them, for the fields `id` and `method`. A client that gets an error without its
/// request's id would wait for the answer until its time limit; many clients write the id last.
#[derive(Default)]
pub(super) struct IdScanner {
    /// Objects and arrays that are open.
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
    /// Whether a key of the outermost object comes next, or is being read.
    is_key: bool,
    key: Vec<u8>,
    /// The value of `id` as far as it was read, if it is being read.
    value: Option<Vec<u8>>,
    id: Option<Value>,
    has_method: bool,
    /// Not an object, or an id that is given twice.
    is_unusable: bool,
}

impl IdScanner {
    /// Reads the next part of the text.
    pub(super) fn read(&mut self, part: &[u8]) {
        for byte in part {
            self.read_byte(*byte);
        }
    }

    /// The id, if the text was that of a request.
    pub(super) fn finish(self) -> Option<Value> {
        self.id.filter(|_| self.has_method && !self.is_unusable)
    }

    fn read_byte(&mut self, byte: u8) {
        if self.is_in_string {
            self.read_in_string(byte);
            return;
        }
        match byte {
            b'"' => {
                self.is_in_string = true;
                if self.is_key && self.depth == 1 {
                    self.key.clear();
                }
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.is_key = self.depth == 1;
                self.is_unusable |= self.depth == 1 && byte == b'[';
                self.keep(byte);
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
                self.keep(byte);
            }
            b',' if self.depth == 1 => {
                self.end_value();
                self.is_key = true;
            }
            b':' if self.depth == 1 && self.is_key => self.begin_value(),
            _ => self.keep(byte),
        }
    }

    fn read_in_string(&mut self, byte: u8) {
        let is_end = byte == b'"' && !self.is_escaped;
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        self.is_in_string = !is_end;
        if !is_end && self.is_key && self.depth == 1 && self.key.len() <= MAX_KEY {
            self.key.push(byte);
        }
        self.keep(byte);
    }

    fn begin_value(&mut self) {
        self.is_key = false;
        self.has_method |= self.key == b"method";
        if self.key == b"id" {
            self.is_unusable |= self.id.is_some();
            self.value = Some(Vec::new());
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(value) = self.value.as_mut().filter(|value| value.len() <= MAX_ID) {
            value.push(byte);
        }
    }

    fn end_value(&mut self) {
        if let Some(value) = self.value.take() {
            self.id = serde_json::from_slice(&value)
                .ok()
                .filter(|id: &Value| id.is_string() || id.is_number());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn id_of(text: &str, part: usize) -> Option<Value> {
        let mut scanner = IdScanner::default();
        text.as_bytes()
            .chunks(part.max(1))
            .for_each(|part| scanner.read(part));
        scanner.finish()
    }

    #[test]
    fn id_is_found_wherever_it_is_written() {
        for (text, id) in [
            (r#"{"id":1,"method":"ping"}"#, json!(1)),
            (
                r#"{"method":"a","params":{"id":9,"x":["id",{"id":2}]},"id":"b\"}"}"#,
                json!("b\"}"),
            ),
            (r#" { "method" : "x" , "id" : -7 } "#, json!(-7)),
            (
                r#"{"jsonrpc":"2.0","id":"1","params":{"a":"\\\"id\":3"},"method":"m"}"#,
                json!("1"),
            ),
        ] {
            assert_eq!(id_of(text, 1), Some(id.clone()), "{text}");
            assert_eq!(id_of(text, 1000), Some(id), "{text}");
        }
    }

    #[test]
    fn only_requests_have_an_id() {
        let long = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(400));
        for text in [
            r#"{"id":1,"result":{"method":"x"}}"#,
            r#"{"method":"m","params":{"id":1}}"#,
            r#"{"id":null,"method":"m"}"#,
            r#"{"id":{"a":1},"method":"m"}"#,
            r#"{"id":1,"id":2,"method":"m"}"#,
            r#"[{"id":1,"method":"m"}]"#,
            r#""id":1,"method":2"#,
            &long,
            "",
        ] {
            assert_eq!(id_of(text, 3), None, "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(Value::from("id")),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(id|method|[a-z\"\\\\]{0,4})", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn id_is_that_of_the_parsed_message(
            id in prop_oneof![any::<i64>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from)],
            before in value(),
            after in value(),
            part in 1..20_usize,
        ) {
            let text = format!(r#"{{"a":{before},"id":{id},"params":{after},"method":"m"}}"#);
            prop_assert_eq!(id_of(&text, part), Some(id));
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\id1m "[..]), 0..60)) {
            let mut scanner = IdScanner::default();
            scanner.read(&bytes);
            let _ = scanner.finish();
        }
    }
}
