//! Typed sections from the tree, by serde, with the leniency that pydantic has: quoted numbers and booleans are accepted.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    value::{MapAccessDeserializer, StringDeserializer},
};

use super::{
    super::read::{lenient_bool, lenient_float, lenient_integer},
    node::{Entry, Kind, Mark, Node},
};
use crate::error::Fault;

/// Reads a value of type `T`.
pub(crate) fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    T::deserialize(NodeDeserializer(node)).map_err(|error| match error.at {
        Some(mark) => mark.fault(error.message),
        None => node.at.fault(error.message),
    })
}

#[derive(Debug)]
struct SectionError {
    message: String,
    at: Option<Mark>,
}

impl SectionError {
    /// The innermost place is kept.
    fn within(mut self, mark: &Mark) -> Self {
        self.at.get_or_insert_with(|| mark.clone());
        self
    }
}

impl fmt::Display for SectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SectionError {}

impl de::Error for SectionError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            at: None,
        }
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'a>(&'a Node);

impl NodeDeserializer<'_> {
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        match lenient_integer(self.0) {
            Some(value) => visitor.visit_i64(value),
            None => self.deserialize_any(visitor),
        }
        .map_err(|error: SectionError| error.within(&self.0.at))
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
            self.number(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = SectionError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        match &self.0.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Integer(value) => visitor.visit_i64(*value),
            Kind::Float(value) => visitor.visit_f64(*value),
            Kind::String(text) | Kind::Timestamp(text) => visitor.visit_str(text),
            Kind::Sequence(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Mapping(entries) => visitor.visit_map(Entries(entries.iter(), None)),
        }
        .map_err(|error: SectionError| error.within(&self.0.at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        match lenient_bool(self.0) {
            Some(value) => visitor.visit_bool(value),
            None => self.deserialize_any(visitor),
        }
    }

    numbers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        match lenient_float(self.0) {
            Some(value) => visitor.visit_f64(value),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SectionError> {
        match self.0.kind {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SectionError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SectionError> {
        match &self.0.kind {
            Kind::String(text) => visitor.visit_enum(
                IntoDeserializer::<SectionError>::into_deserializer(text.as_str()),
            ),
            Kind::Mapping(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries(entries.iter(), None)))
            }
            _ => Err(de::Error::custom(format!(
                "a name is expected, not {}",
                self.0.kind_name()
            ))),
        }
        .map_err(|error: SectionError| error.within(&self.0.at))
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = SectionError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SectionError> {
        let next = self.0.next();
        next.map(|node| seed.deserialize(NodeDeserializer(node)))
            .transpose()
    }
}

struct Entries<'a>(std::slice::Iter<'a, Entry>, Option<&'a Entry>);

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = SectionError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, SectionError> {
        self.1 = self.0.next();
        let Some(entry) = self.1 else {
            return Ok(None);
        };
        let key: StringDeserializer<SectionError> = entry.key.key_text().into_deserializer();
        let key = seed.deserialize(key);
        key.map(Some).map_err(|error| error.within(&entry.key.at))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, SectionError> {
        let Some(entry) = self.1.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        seed.deserialize(NodeDeserializer(&entry.value))
            .map_err(|mut error| {
                if error.at.is_none() {
                    error.at = Some(entry.key.at.clone());
                }
                error
            })
    }
}
