//! JSON schemas of a tool's input and output, in the form that most clients understand, and as short as they can be: clients
//! send the list of tools to the model with every conversation.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Keywords without meaning for a caller: the dialect is the protocol's default, and `format` names Rust's number types.
const OMITTED: [&str; 2] = ["$schema", "format"];
/// Limits that no output exceeds because its type cannot; and which fields are always there, which the text of an answer shows.
const OMITTED_IN_OUTPUTS: [&str; 3] = ["minimum", "maximum", "required"];

/// The schema of a tool's input. Draft 2020-12, without references: several clients do not follow them.
pub(super) fn of_input<T: JsonSchema>() -> Arc<JsonObject> {
    Arc::new(of::<T>(draft2020_12(), &OMITTED))
}

/// The schema of a tool's output.
pub(super) fn of_output<T: JsonSchema>() -> Arc<JsonObject> {
    let omitted: Vec<&str> = OMITTED.into_iter().chain(OMITTED_IN_OUTPUTS).collect();
    // For serialisation: a field that is left out when it is empty is not required.
    Arc::new(of::<T>(draft2020_12().for_serialize(), &omitted))
}

fn draft2020_12() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}

fn of<T: JsonSchema>(settings: SchemaSettings, omitted: &[&str]) -> JsonObject {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.remove("description");
    let mut schema = Value::Object(schema.as_object().cloned().unwrap_or_default());
    simplify(&mut schema, omitted);
    // Some clients refuse an object without them.
    if let Some(schema) = schema.as_object_mut() {
        schema
            .entry("properties")
            .or_insert_with(|| JsonObject::new().into());
    }
    match schema {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::new()
        }
    }
}

/// Removes every description: for an output whose field names say enough. Used as `#[schemars(transform = …)]`.
pub(super) fn without_descriptions(schema: &mut schemars::Schema) {
    if let Some(fields) = schema.as_object_mut() {
        fields.values_mut().for_each(remove_descriptions);
    }
}

/// As [`without_descriptions`], and names the fields of the output alone, not those of objects in it: for a long output, whose schema
/// every list of tools would repeat.
pub(super) fn top_fields_only(schema: &mut schemars::Schema) {
    without_descriptions(schema);
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties
        .into_iter()
        .flat_map(|properties| properties.values_mut())
    {
        remove_fields(property);
    }
}

fn remove_fields(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    for keyword in ["properties", "required"] {
        schema.remove(keyword);
    }
    if let Some(items) = schema.get_mut("items") {
        remove_fields(items);
    }
}

fn remove_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A property can be called so too; then its value is an object.
            fields.retain(|name, value| name != "description" || value.is_object());
            fields.values_mut().for_each(remove_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Removes the omitted keywords, and `null` from the types of optional properties: clients with one type per value, such as
/// Gemini's function declarations, reject the tool otherwise.
fn simplify(schema: &mut Value, omitted: &[&str]) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    remove_null_types_of_properties(schema);
    schema.retain(|keyword, _| !omitted.contains(&keyword.as_str()));
    for (keyword, value) in schema.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties
                    .values_mut()
                    .for_each(|property| simplify(property, omitted));
            }
            ("items" | "additionalProperties", value) => simplify(value, omitted),
            ("oneOf" | "anyOf", Value::Array(choices)) => {
                choices.iter_mut().for_each(|choice| simplify(choice, omitted));
            }
            _ => {}
        }
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
