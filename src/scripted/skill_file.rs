//! A file of a skill that a step publishes: its text, or text or Base64 with the executable flag.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    text: Option<String>,
    base64: Option<String>,
    executable: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SkillFileSpec(Fields);

impl SkillFileSpec {
    pub(super) fn check(&self, path: &str) -> Result<(), String> {
        if self.0.text.is_some() == self.0.base64.is_some() {
            return Err(format!("the file \"{path}\" needs either `text` or `base64`"));
        }
        Ok(())
    }

    /// The file as an item of the argument `files` of publish_skill.
    pub(super) fn argument(&self, path: &str) -> Value {
        let mut argument = Map::new();
        argument.insert("path".to_owned(), json!(path));
        let contents = [("text", &self.0.text), ("base64", &self.0.base64)];
        for (name, content) in contents {
            if let Some(content) = content {
                argument.insert(name.to_owned(), json!(content));
            }
        }
        if self.0.executable {
            argument.insert("executable".to_owned(), json!(true));
        }
        Value::Object(argument)
    }
}

/// Not derived: serde's untagged enums report a wrong field without its name and line.
impl<'de> Deserialize<'de> for SkillFileSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileVisitor;

        impl<'de> Visitor<'de> for FileVisitor {
            type Value = SkillFileSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or {text: TEXT, executable: true}, or {base64: TEXT}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SkillFileSpec, E> {
                Ok(SkillFileSpec(Fields {
                    text: Some(text.to_owned()),
                    ..Fields::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SkillFileSpec, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(SkillFileSpec)
            }
        }

        deserializer.deserialize_any(FileVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_becomes_an_argument_of_publish_skill() {
        let argument = |written: Value| {
            let file: SkillFileSpec = serde_json::from_value(written).unwrap();
            file.check("a").map(|()| file.argument("a"))
        };
        assert_eq!(argument(json!("x")), Ok(json!({"path": "a", "text": "x"})));
        assert_eq!(
            argument(json!({"text": "x", "executable": true})),
            Ok(json!({"path": "a", "text": "x", "executable": true}))
        );
        assert_eq!(
            argument(json!({"base64": "eA=="})),
            Ok(json!({"path": "a", "base64": "eA=="}))
        );
        for wrong in [json!({}), json!({"text": "x", "base64": "y"})] {
            assert!(argument(wrong).unwrap_err().contains("either `text` or `base64`"));
        }
    }
}
