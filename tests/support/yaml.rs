//! YAML of the docs as JSON, in which every scalar is a text.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

/// Reads a document.
pub(crate) fn read(text: &str) -> Value {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap_or_else(|error| panic!("{error}:\n{text}")).0);
    loop {
        match events.next().expect("a document") {
            Event::StreamStart | Event::DocumentStart(_) => {}
            event => return value(event, &mut events),
        }
    }
}

fn value<'a>(event: Event<'a>, events: &mut dyn Iterator<Item = Event<'a>>) -> Value {
    let next = |events: &mut dyn Iterator<Item = Event<'a>>| events.next().expect("the end of what began");
    match event {
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(events) {
                    Event::SequenceEnd => return Value::Array(items),
                    event => items.push(value(event, events)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut pairs = Map::new();
            loop {
                match next(events) {
                    Event::MappingEnd => return Value::Object(pairs),
                    Event::Scalar(key, ..) => {
                        let event = next(events);
                        let value = value(event, events);
                        assert!(pairs.insert(key.to_string(), value).is_none(), "`{key}` is there twice");
                    }
                    event => panic!("{event:?} is no key"),
                }
            }
        }
        event => panic!("{event:?} in the YAML of the docs"),
    }
}
