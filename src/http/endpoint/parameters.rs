//! Typed reading of a map of parameters.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    error::{ModelError, ModelErrorKind},
    http::{Limits, Secret},
};

/// Takes settings out of a map.
pub(super) struct Parameters<'a> {
    pub(super) model: &'a str,
    pub(super) parameters: &'a mut Map<String, Value>,
}

impl Parameters<'_> {
    pub(super) fn error(&self, message: String) -> ModelError {
        ModelError::new(ModelErrorKind::Configuration, self.model, message)
    }

    pub(super) fn missing(&self, name: &str) -> ModelError {
        self.error(format!("`parameters.{name}` is missing"))
    }

    fn wrong(&self, name: &str, expected: &str) -> ModelError {
        self.error(format!("`parameters.{name}` must be {expected}"))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.parameters.shift_remove(name);
        value.filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ModelError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// As [`text`](Self::text), where a number is as good: its digits.
    pub(super) fn printed(&mut self, name: &str) -> Result<Option<String>, ModelError> {
        match self.parameters.get(name) {
            Some(Value::Number(number)) => {
                let text = number.to_string();
                self.parameters.shift_remove(name);
                Ok(Some(text))
            }
            _ => self.text(name),
        }
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, ModelError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let seconds = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match duration {
            Some(duration) if !duration.is_zero() => Ok(Some(duration)),
            _ => Err(self.wrong(name, "a number of seconds above 0")),
        }
    }

    pub(super) fn limits(&mut self) -> Result<Limits, ModelError> {
        let mut limits = Limits::default();
        let timeout = self.seconds("timeout")?;
        let request_timeout = self.seconds("request_timeout")?;
        if let Some(timeout) = timeout.or(request_timeout) {
            limits.timeout = timeout;
        }
        if let Some(timeout) = self.seconds("connect_timeout")? {
            limits.connect_timeout = timeout;
        }
        if let Some(retries) = self.take("max_retries") {
            let retries = retries
                .as_u64()
                .and_then(|retries| u32::try_from(retries).ok());
            let wrong = || self.wrong("max_retries", "a whole number from 0");
            limits.max_retries = retries.ok_or_else(wrong)?;
        }
        Ok(limits)
    }

    pub(super) fn pairs(&mut self, name: &str) -> Result<Vec<(String, Secret)>, ModelError> {
        let object = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(self.wrong(name, "an object")),
        };
        let pairs = object.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, Secret::new(&text))),
            Value::Number(_) | Value::Bool(_) => Ok((key, Secret::new(&value.to_string()))),
            _ => Err(self.wrong(&format!("{name}.{key}"), "a text")),
        });
        pairs.collect()
    }
}
