//! Collecting the texts of a request: every string that a model may be shown.

use super::{
    Text, TextKind, Unreadable,
    json::{Kind, Value},
    keys,
    packed::{Packed, unpack_base64, unpack_data_url},
};

/// The words of a format's requests.
#[derive(Debug)]
pub(super) struct Words {
    /// The keys that the format knows under a message; others are texts themselves, and so are known ones in another letter case.
    pub(super) keys: &'static [&'static str],
    /// The keys whose values are ids or are encrypted: judged by patterns, never asked about.
    pub(super) ids: &'static [&'static str],
    /// The keys under which bytes stand in base64.
    pub(super) bytes: &'static [&'static str],
    /// Whether a string at a key is one that the format defines, and says nothing.
    pub(super) is_usual: fn(&str, &str) -> bool,
}

/// Collects texts.
#[derive(Debug)]
pub(super) struct Texts<'t, 'a> {
    out: &'t mut Vec<Text<'a>>,
    words: &'static Words,
}

impl<'t, 'a> Texts<'t, 'a> {
    pub(super) fn new(out: &'t mut Vec<Text<'a>>, words: &'static Words) -> Self {
        Self { out, words }
    }

    /// Takes in a string that is not empty; nothing for other values.
    pub(super) fn push(&mut self, kind: TextKind, value: Value<'_, 'a>) {
        if let Some(text) = value.as_str()
            && !text.is_empty()
        {
            let span = value.span();
            self.out.push(Text { kind, text, span });
        }
    }

    /// An error if `object` has a key that only readers that fold letters take for a known one.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn check_keys(&self, object: Value<'_, 'a>) -> Result<(), Unreadable> {
        keys::refuse_folded(object, self.words.keys)
    }

    /// Every string of a member's value, and its key where that is not known.
    pub(super) fn member(&mut self, key: Value<'_, 'a>, value: Value<'_, 'a>, kind: TextKind) {
        let name = key.as_str().unwrap_or_default();
        if !self.words.keys.contains(&name.as_ref()) {
            self.push(TextKind::Key, key);
        }
        self.any(value, &name, kind);
    }

    /// Every string in `value`, which is the value of `key`, and every key that is not known.
    pub(super) fn any(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        match value.kind() {
            Kind::String | Kind::EscapedString => self.string(value, key, kind),
            Kind::Array => {
                for element in value.elements() {
                    self.any(element, key, kind);
                }
            }
            Kind::Object => {
                for member in value.members() {
                    self.member(member.key, member.value, kind);
                }
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }

    /// Every string in a value that an app or a tool defines, and every key.
    pub(super) fn free(&mut self, value: Value<'_, 'a>, kind: TextKind) {
        match value.kind() {
            Kind::String | Kind::EscapedString => self.push(kind, value),
            Kind::Array => value
                .elements()
                .for_each(|element| self.free(element, kind)),
            Kind::Object => {
                for member in value.members() {
                    self.push(TextKind::Key, member.key);
                    self.free(member.value, kind);
                }
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }

    fn string(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        let Some(text) = value.as_str() else {
            return;
        };
        if self.words.ids.contains(&key) {
            return self.push(TextKind::Id, value);
        }
        if kind != TextKind::Other {
            // A data URL in a text is read by the model as it stands.
            return self.push(kind, value);
        }
        if (self.words.is_usual)(key, &text) {
            return;
        }
        let packed = match unpack_data_url(&text) {
            Packed::No if self.words.bytes.contains(&key) => unpack_base64(&text),
            packed => packed,
        };
        // A short string that happens to be base64, too, may be meant as it stands.
        let is_long = text.len() > 512 || key == "url";
        match packed {
            Packed::Text(text) => {
                let (kind, span) = (TextKind::File, value.span());
                let text = text.into();
                self.out.push(Text { kind, text, span });
                if is_long {
                    return;
                }
            }
            Packed::Binary if is_long => return,
            Packed::Binary | Packed::No => {}
        }
        self.push(kind, value);
    }
}
