//! The texts that no output may show, and values without them.

use engine::Mask;
use serde_json::Value;

/// Masks secrets in values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Mask);

impl Secrets {
    /// Makes a mask of these texts.
    pub(crate) fn new(texts: &[String]) -> Secrets {
        Secrets(Mask::new(texts))
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
