//! JSON schemas of a tool's input and output, in the form that most clients understand.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde_json::Value;

/// Draft 2020-12, without references: several clients do not follow them.
pub(super) fn of<T: JsonSchema>() -> Arc<JsonObject> {
    let settings =
        schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.values_mut().for_each(remove_null_types);
    remove_null_types_of_properties(&mut schema);
    Arc::new(schema)
}

/// Removes `null` from the types of optional properties: clients with one type per value, such as Gemini's function
/// declarations, reject the tool otherwise.
fn remove_null_types(value: &mut Value) {
    match value {
        Value::Object(schema) => {
            schema.values_mut().for_each(remove_null_types);
            remove_null_types_of_properties(schema);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_null_types),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn remove_null_types_of_properties(schema: &mut JsonObject) {
    let required: Vec<Value> = schema
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        if required.iter().any(|required| required == name) {
            continue;
        }
        if property.get("default") == Some(&Value::Null) {
            property.remove("default");
        }
        let types = property
            .get("type")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut others = types.into_iter().filter(|kind| kind != "null");
        if let (Some(only), None) = (others.next(), others.next()) {
            property.insert("type".to_owned(), only);
        }
        let choices = property
            .get("anyOf")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut others = choices
            .into_iter()
            .filter(|choice| choice.get("type") != Some(&"null".into()));
        if let (Some(Value::Object(only)), None) = (others.next(), others.next()) {
            property.remove("anyOf");
            for (key, value) in only {
                property.entry(key).or_insert(value);
            }
        }
    }
}
