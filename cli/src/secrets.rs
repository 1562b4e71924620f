//! The texts that no output may show, and values without them.

use engine::Mask;
use engine::event::{CheckEvent, Event, HookEvent};
use serde_json::Value;

use crate::json;

/// Masks secrets in values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Mask);

impl Secrets {
    /// Makes a mask of these texts.
    pub(crate) fn new(texts: &[String]) -> Secrets {
        Secrets(Mask::new(texts))
    }

    /// Returns the mask of texts.
    pub(crate) fn texts(&self) -> &Mask {
        &self.0
    }

    /// Returns a text without secrets.
    pub(crate) fn mask_text(&self, text: String) -> String {
        self.0.mask(text)
    }

    /// Returns an event without secrets. Only texts that somebody chose can have them.
    pub(crate) fn mask_event(&self, event: Event) -> Event {
        let masked = |text| self.mask_text(text);
        match event {
            Event::Warning(text) => Event::Warning(masked(text)),
            Event::Detail(text) => Event::Detail(masked(text)),
            Event::LockWait { holder } => Event::LockWait { holder: masked(holder) },
            Event::Hook(HookEvent::Line { name, text }) => Event::Hook(HookEvent::Line { name, text: masked(text) }),
            Event::Check(CheckEvent::Failed { name, attempt, reason }) => {
                Event::Check(CheckEvent::Failed { name, attempt, reason: masked(reason) })
            }
            event => event,
        }
    }

    /// Returns the object of a report without secrets. Only its texts are masked, not its numbers and names.
    pub(crate) fn mask_object(&self, object: String) -> String {
        let Ok(before) = serde_json::from_str::<Value>(&object) else { return self.mask_text(object) };
        let mut masked = before.clone();
        self.mask(&mut masked);
        if masked == before { object } else { format!("{}\n", json::on_one_line(&masked.to_string())) }
    }

    /// Masks secrets in all texts of a value.
    pub(crate) fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.0.mask(std::mem::take(text)),
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.mask(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_report_are_masked_and_its_numbers_stay() {
        let secrets = Secrets::new(&["2026".into()]);
        let object = |text: &str| secrets.mask_object(text.to_owned());
        assert_eq!(object("{\"b\":2026,\"a\":1}\n"), "{\"b\":2026,\"a\":1}\n");
        assert_eq!(object("{\"b\":2026,\"a\":\"of 2026\"}\n"), "{\"a\":\"of ***\",\"b\":2026}\n");
    }

    #[test]
    fn events_are_masked() {
        let secrets = Secrets::new(&["s3cret".into()]);
        let check = |event: &dyn Fn(String) -> Event| {
            assert_eq!(secrets.mask_event(event("a s3cret".into())), event("a ***".into()));
        };
        check(&Event::Warning);
        check(&Event::Detail);
        check(&|holder| Event::LockWait { holder });
        check(&|text| Event::Hook(HookEvent::Line { name: "build".into(), text }));
        check(&|reason| Event::Check(CheckEvent::Failed { name: "health".into(), attempt: 1, reason }));
    }
}
