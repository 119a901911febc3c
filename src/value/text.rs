//! Values as text: `str()` and `repr()`.

use std::fmt::{self, Write};

use super::{Value, number};

impl Value {
    /// The text of `repr(x)`: as `str(x)`, but texts are quoted and escaped.
    pub fn repr(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write_repr(self, &mut text);
        text
    }
}

/// `str(x)`.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => formatter.write_str(text),
            Self::Object(object) => formatter.write_str(&object.text()),
            _ => write_repr(self, formatter),
        }
    }
}

fn write_repr(value: &Value, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::None => out.write_str("None"),
        Value::Bool(true) => out.write_str("True"),
        Value::Bool(false) => out.write_str("False"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Float(number) => out.write_str(&number::float_text(*number)),
        Value::Str(text) => write_quoted(text, out),
        Value::List(items) => {
            out.write_char('[')?;
            write_items(items.iter(), out)?;
            out.write_char(']')
        }
        Value::Tuple(items) => {
            out.write_char('(')?;
            write_items(items.iter(), out)?;
            out.write_str(if items.len() == 1 { ",)" } else { ")" })
        }
        Value::Dict(dict) => {
            out.write_char('{')?;
            for (index, (key, value)) in dict.iter().enumerate() {
                if index > 0 {
                    out.write_str(", ")?;
                }
                write_repr(key.value(), out)?;
                out.write_str(": ")?;
                write_repr(value, out)?;
            }
            out.write_char('}')
        }
        Value::Set(set) if set.is_empty() => out.write_str("set()"),
        Value::Set(set) => {
            out.write_char('{')?;
            write_items(set.iter().map(super::Key::value), out)?;
            out.write_char('}')
        }
        Value::Object(object) => out.write_str(&object.repr()),
    }
}

fn write_items<'a>(items: impl Iterator<Item = &'a Value>, out: &mut impl Write) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        write_repr(item, out)?;
    }
    Ok(())
}

/// Quotes a text as Python does: single quotes, unless it holds those and no double ones.
pub(crate) fn write_quoted(text: &str, out: &mut impl Write) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.write_char(quote)?;
    for character in text.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\\' => out.write_str("\\\\")?,
            _ if character == quote => write!(out, "\\{character}")?,
            _ if is_printable(character) => out.write_char(character)?,
            _ => match u32::from(character) {
                code @ 0..=0xff => write!(out, "\\x{code:02x}")?,
                code @ 0x100..=0xffff => write!(out, "\\u{code:04x}")?,
                code => write!(out, "\\U{code:08x}")?,
            },
        }
    }
    out.write_char(quote)
}

/// Whether Python prints the character as it is: all but controls, separators other than the space, and the
/// unassigned or private code points that the standard library's own escaping knows.
pub(super) fn is_printable(character: char) -> bool {
    match character {
        ' ' => true,
        '\u{ad}' => false,
        // A combining mark is printable, though `escape_debug` escapes it at the start of a text.
        '\'' | '"' | '\\' => true,
        _ if character.is_control() || character.is_whitespace() => false,
        _ => {
            // Behind a letter, so that combining marks count as printable.
            let mut pair = String::from("a");
            pair.push(character);
            pair.escape_debug().nth(1) == Some(character)
        }
    }
}
