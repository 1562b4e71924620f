//! JSON with few lines: a field of the outermost object a line, and an element a line in lists of objects.
//!
//! So a sample is a line, a table of samples can be read as one, and a changed sample is one line of a difference.

use serde_json::Value;

/// Returns the text of a record.
pub(crate) fn lines(record: &Value) -> String {
    let Some(fields) = record.as_object() else { return format!("{record}\n") };
    let fields: Vec<String> = fields.iter().map(|(name, value)| field(name, value)).collect();
    format!("{{\n{}\n}}\n", fields.join(",\n"))
}

fn field(name: &str, value: &Value) -> String {
    format!("{}:{}", Value::from(name), text(value))
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            let elements: Vec<String> = elements.iter().map(text).collect();
            format!("[\n{}]", elements.join(",\n"))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| field(name, value)).collect();
            format!("{{{}}}", fields.join(","))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_element_of_a_list_of_objects_is_a_line() {
        let record = json!({ "a": { "b": [1, 2], "c": [] }, "d": [{ "e": [{ "f": 0.5 }, { "f": "\"" }] }, {}] });
        let expected =
            "{\n\"a\":{\"b\":[1,2],\"c\":[]},\n\"d\":[\n{\"e\":[\n{\"f\":0.5},\n{\"f\":\"\\\"\"}]},\n{}]\n}\n";
        assert_eq!(lines(&record), expected);
        assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), record);
    }
}
