//! `cutover config schema`: a JSON schema of `cutover.toml`, for editors.
//!
//! The keys and their shapes are those of the reader, and the descriptions are those of the docs. A value with a variable
//! (`${NAME}`) is a text that nobody can check before it is used.

use serde_json::{Map, Value, json};

use crate::docs;
use crate::failure::Failure;
use crate::keys::Keys;
use crate::report;
use crate::shape::{Shape, Table};
use crate::words::{RESERVED, STAGE_PATTERN};

/// The pattern of a text with a variable.
const VARIABLE: &str = r"\$\{";

/// The pattern of a duration.
const DURATION: &str = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$|\$\{";

pub(crate) fn run() -> Result<(), Failure> {
    report::print(&text()?)
}

/// Returns the text of the schema.
fn text() -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&schema());
    text.map(|text| text + "\n").map_err(|error| Failure::usage("The schema cannot be written").because(&error))
}

fn schema() -> Value {
    let stage = of_table(Keys::SHAPES, "## cutover.toml\n");
    let mut top = stage.clone();
    top["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    top["title"] = json!("cutover.toml");
    top["description"] =
        json!("How Cutover deploys an application. A table is a stage; the keys at the top are defaults.");
    top["additionalProperties"] = json!({ "$ref": "#/$defs/stage" });
    top["propertyNames"] = json!({ "pattern": STAGE_PATTERN, "not": { "enum": RESERVED } });
    top["$defs"] = json!({ "stage": stage });
    top
}

/// Returns the schema of a table with these keys, which a section of the docs describes.
fn of_table(keys: &[(&'static str, Shape)], section: &str) -> Value {
    let rows = docs::CONFIGURATION.split_once(section).map_or("", |(_, rest)| rest);
    let property = |(name, shape): &(&'static str, Shape)| {
        let mut value = of_shape(*shape);
        value["description"] = json!(description(rows, name));
        ((*name).to_owned(), value)
    };
    let properties: Map<String, Value> = keys.iter().map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Returns what the docs say of a key: the last cell of its row, without the marks of links.
fn description(rows: &str, name: &str) -> String {
    let start = format!("| `{name}` |");
    let row = rows.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
    let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
    docs::without_links(cell)
}

fn of_shape(shape: Shape) -> Value {
    let or_variable = |value: Value| json!({ "anyOf": [value, { "type": "string", "pattern": VARIABLE }] });
    let text = json!({ "type": "string" });
    match shape {
        Shape::Text => text,
        Shape::Secret | Shape::Command | Shape::Path => json!({ "type": "string", "minLength": 1 }),
        Shape::AbsolutePath => json!({ "type": "string", "pattern": r"^/|\$\{" }),
        Shape::Number(least, most) => or_variable(json!({ "type": "integer", "minimum": least, "maximum": most })),
        Shape::Boolean => or_variable(json!({ "type": "boolean" })),
        Shape::Duration => json!({ "type": "string", "minLength": 2, "pattern": DURATION }),
        Shape::OneOf(words) => or_variable(json!({ "enum": words })),
        Shape::TextOrList => json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] }),
        Shape::Texts | Shape::Patterns => json!({ "type": "array", "items": text }),
        Shape::SharedPaths { conflict, missing } => {
            let rules = json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "minLength": 1 },
                    "conflict": or_variable(json!({ "enum": conflict })),
                    "missing": or_variable(json!({ "enum": missing })),
                },
                "required": ["path"],
                "additionalProperties": false,
            });
            json!({ "type": "array", "items": { "anyOf": [{ "type": "string", "minLength": 1 }, rules] } })
        }
        Shape::Map => json!({ "type": "object", "additionalProperties": text }),
        Shape::Tables(table) => of_tables(table),
    }
}

fn of_tables(table: &Table) -> Value {
    let mut items = of_table(table.keys, table.section);
    items["required"] = json!(table.required);
    if !table.either.is_empty() {
        let one = |key: &&str| json!({ "required": [key] });
        items["oneOf"] = table.either.iter().map(one).collect();
    }
    json!({ "type": "array", "items": items })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::tests::variables;

    /// Checks a config against the schema, and that the reader agrees.
    #[track_caller]
    fn check(text: &str, is_valid: bool) {
        let table: toml::Table = toml::from_str(text).unwrap();
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&serde_json::to_value(&table).unwrap()).map(|error| error.to_string()).collect();
        assert_eq!(errors.is_empty(), is_valid, "{text}: {errors:?}");
        let read = Config::parse(Path::new("/c/cutover.toml"), text, &variables());
        assert_eq!(read.is_ok(), is_valid, "{text}: {read:?}");
    }

    #[test]
    fn the_schema_in_the_docs_is_that_of_the_program() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cutover.schema.json");
        let expected = text().unwrap();
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            std::fs::write(&file, &expected).unwrap();
        }
        let hint = "write it anew: `cutover config schema > docs/cutover.schema.json`";
        assert!(std::fs::read_to_string(&file).unwrap() == expected, "{hint}");
    }

    #[test]
    fn every_key_has_a_description() {
        let schema = schema();
        let mut count = 0;
        for table in [&schema, &schema["properties"]["hooks"]["items"], &schema["properties"]["checks"]["items"]] {
            for (key, value) in table["properties"].as_object().unwrap() {
                assert!(value["description"].as_str().unwrap().len() > 5, "{key}: {value}");
                assert!(!value["description"].as_str().unwrap().contains("]("), "{key}: {value}");
                count += 1;
            }
        }
        assert!(count > 60, "{count}");
    }

    #[test]
    fn what_the_reader_takes_is_valid() {
        for text in [
            "",
            "host = '${WEB}'\nport = '${PORT:-22}'\nspare = '${SPARE:-true}'\ntransport = '${T:-ssh2}'\nkeep_releases = 0x5",
            "shared_dirs = ['a', { path = 'b', conflict = 'seed', missing = 'optional' }]\nshared_files = []",
            "grace = '1h30m'\nconfirm = '${C:-60s}'\nwritable_mode = '2775'",
            "[eu-west_1]\nhost = 'a'\n[\"a.b\"]\nhooks = [{ name = 'x', phase = 'build', run = 'make', env = { A = '1' } }]",
            "[[checks]]\nname = 'x'\nurl = 'http://a/'\nstatus = 204\nheaders = { A = 'b' }\n[[checks]]\nname = 'y'\nrun = 'true'",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn what_the_reader_refuses_for_its_shape_is_not_valid() {
        for text in [
            "keep_release = 3",
            "host = 1",
            "port = 0",
            "port = 65536",
            "port = '22'",
            "keep_releases = 0",
            "keep_manifests = -1",
            "zstd_level = 20",
            "spare = 'no'",
            "grace = 60",
            "grace = 'soon'",
            "grace = ''",
            "transport = 'ssh'",
            "link = 'copy'",
            "current_path = 'current'",
            "exclude = 'a'",
            "exclude = [1]",
            "shared_dirs = [{ conflict = 'seed' }]",
            "shared_dirs = [{ path = 'a', rule = 'seed' }]",
            "shared_dirs = [{ path = 'a', conflict = 'always' }]",
            "shared_files = [{ path = 'a', conflict = 'merge' }]",
            "hooks = ['make']",
            "[[hooks]]\nname = 'x'\nrun = 'make'",
            "[[hooks]]\nname = 'x'\nphase = 'publish'\nrun = 'make'",
            "[[hooks]]\nname = 'x'\nphase = 'build'\nrun = 'make'\nuser = 'x'",
            "[[checks]]\nname = 'x'",
            "[[checks]]\nname = 'x'\nurl = 'http://a/'\nrun = 'true'",
            "[[checks]]\nname = 'x'\nurl = 'http://a/'\nretries = 10001",
            "[live]\nhost = 'a'",
            "[1]\nhost = 'a'",
            "[shop]\nhost = 1",
            "[shop.inner]\nhost = 'a'",
        ] {
            check(text, false);
        }
    }
}
