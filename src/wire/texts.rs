//! Collecting the texts of a request: every string and every number that a model may be shown.

use super::{
    Text, TextKind, Unreadable,
    json::{Kind, Value},
    keys,
    packed::{Packed, type_of_file, unpack_base64, unpack_data_url},
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
    /// The media type that is declared beside packed bytes.
    media: String,
}

impl<'t, 'a> Texts<'t, 'a> {
    pub(super) fn new(out: &'t mut Vec<Text<'a>>, words: &'static Words) -> Self {
        Self {
            out,
            words,
            media: String::new(),
        }
    }

    /// Takes in a string that is not empty, or a number; nothing for other values.
    pub(super) fn push(&mut self, kind: TextKind, value: Value<'_, 'a>) {
        let text = match value.kind() {
            Kind::Number => value.source().into(),
            _ => value.as_str().unwrap_or_default(),
        };
        if !text.is_empty() {
            let span = value.span();
            self.out.push(Text { kind, text, span });
        }
    }

    /// Takes in a text that stands within the string `value`.
    pub(super) fn push_nested(&mut self, text: String, value: Value<'_, 'a>) {
        self.out.push(Text {
            kind: TextKind::Nested,
            text: text.into(),
            span: value.span(),
        });
    }

    /// An error if `object` has a key that only readers that fold letters take for a known one.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn check_keys(&self, object: Value<'_, 'a>) -> Result<(), Unreadable> {
        keys::refuse_folded(object, self.words.keys)
    }

    /// Every text of a member's value, and its key where that is not known.
    pub(super) fn member(&mut self, key: Value<'_, 'a>, value: Value<'_, 'a>, kind: TextKind) {
        let name = key.as_str().unwrap_or_default();
        if !self.words.keys.contains(&name.as_ref()) {
            self.push(TextKind::Key, key);
        }
        self.any(value, &name, kind);
    }

    /// Every text in `value`, which is the value of `key`, and every key that is not known.
    pub(super) fn any(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        match value.kind() {
            Kind::String | Kind::EscapedString => self.string(value, key, kind),
            Kind::Number if key != "index" => self.push(kind, value),
            Kind::Array => {
                for element in value.elements() {
                    self.any(element, key, kind);
                }
            }
            Kind::Object => {
                let outer = std::mem::replace(&mut self.media, declared(value));
                for member in value.members() {
                    let is_address = holds_address(key) && member.key.is("url");
                    match is_address && member.value.is_string() {
                        true => self.string(member.value, ADDRESS, kind),
                        false => self.member(member.key, member.value, kind),
                    }
                }
                self.media = outer;
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }

    /// Every text in a value that an app or a tool defines, and every key.
    pub(super) fn free(&mut self, value: Value<'_, 'a>, kind: TextKind) {
        match value.kind() {
            Kind::String | Kind::EscapedString | Kind::Number => self.push(kind, value),
            Kind::Array => value
                .elements()
                .for_each(|element| self.free(element, kind)),
            Kind::Object => {
                for member in value.members() {
                    self.push(TextKind::Key, member.key);
                    self.free(member.value, kind);
                }
            }
            Kind::Null | Kind::True | Kind::False => {}
        }
    }

    fn string(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        let Some(text) = value.as_str() else {
            return;
        };
        if kind == TextKind::Id || self.words.ids.contains(&key) {
            // Words under the key of an id are words.
            let kind = match is_id(&text) {
                true => TextKind::Id,
                false => TextKind::Other,
            };
            return self.push(kind, value);
        }
        if kind != TextKind::Other {
            // A data URL in a text is read by the model as it stands.
            return self.push(kind, value);
        }
        if (self.words.is_usual)(key, &text) {
            return;
        }
        let packed = match unpack_data_url(&text) {
            // An object that says that its `data` is text has it there as it stands.
            Packed::No if key == "data" && self.media == AS_IT_STANDS => Packed::No,
            Packed::No if self.words.bytes.contains(&key) => unpack_base64(&text, &self.media),
            packed => packed,
        };
        // A short string that happens to be base64, too, may be meant as it stands.
        let is_long = text.len() > 512 || key == ADDRESS || key == "url";
        let span = value.span();
        let mut push_file = |text: String| {
            self.out.push(Text {
                kind: TextKind::File,
                text: text.into(),
                span: span.clone(),
            });
        };
        match packed {
            Packed::Text(text) => {
                push_file(text);
                if is_long {
                    return;
                }
            }
            Packed::Perhaps(text) => push_file(text),
            Packed::Binary if is_long => return,
            Packed::Binary | Packed::No => {}
        }
        let is_address = (key == ADDRESS || holds_address(key)) && is_address(&text);
        match is_address || is_encrypted(&text) {
            true => self.push(TextKind::Id, value),
            false => self.push(kind, value),
        }
    }
}

/// The media type of an object of the type `text`.
const AS_IT_STANDS: &str = "text as it stands";

/// The key of a `url` from which a service fetches a picture, a sound or a file.
const ADDRESS: &str = "url of a file";

/// Whether what stands at `key` is, or has, an address from which a service fetches something.
fn holds_address(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "image_url",
        "video_url",
        "audio_url",
        "file_url",
        "document_url",
        "input_audio",
        "file",
        "source",
        "image",
        "video",
        "audio",
        "images",
    ];
    KEYS.contains(&key)
}

/// Whether a string is an address, which says nothing by itself.
fn is_address(text: &str) -> bool {
    const LONGEST: usize = 2048;
    let schemes = ["http://", "https://", "gs://", "s3://", "file-"];
    let has_scheme = |scheme: &&str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    text.len() <= LONGEST && schemes.iter().any(has_scheme) && !text.contains(char::is_whitespace)
}

/// Whether a string is an id, or something encrypted: one word of letters that stand in such.
fn is_id(text: &str) -> bool {
    let is_ids = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:|/+=~@".contains(&byte);
    text.bytes().all(is_ids)
}

/// Whether a long string is encrypted or packed, and no words: base64, in which digits and both cases are mixed as by chance.
fn is_encrypted(text: &str) -> bool {
    const SHORTEST: usize = 200;
    if text.len() < SHORTEST
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
    {
        return false;
    }
    let share = |is: fn(&u8) -> bool| text.bytes().filter(is).count() * 100 / text.len();
    share(u8::is_ascii_digit) >= 8
        && share(u8::is_ascii_uppercase) >= 20
        && share(u8::is_ascii_lowercase) >= 20
}

/// The media type that an object declares for the bytes in it; of a file without one, what its name says.
fn declared(object: Value<'_, '_>) -> String {
    if object.get("type").is_some_and(|kind| kind.is("text")) {
        return AS_IT_STANDS.to_owned();
    }
    let mut named = String::new();
    for member in object.members() {
        let Some(text) = member.value.as_str() else {
            continue;
        };
        match member.key.as_str().as_deref().unwrap_or_default() {
            "media_type" | "mime_type" | "mimeType" | "mediaType" | "content_type" => {
                return text.to_ascii_lowercase();
            }
            "filename" | "file_name" | "title" | "name" => named = type_of_file(&text).to_owned(),
            _ => {}
        }
    }
    named
}
