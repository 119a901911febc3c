//! JSON as Python's `json.dumps` writes it: a space after `,` and `:`, and ASCII only.

use std::io;

use serde::Serialize;
use serde_json::{Value, ser::Formatter};

/// `value` as Python's `json.dumps` writes it.
pub(crate) fn dumps(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonFormatter);
    if value.serialize(&mut serializer).is_err() {
        // Writing a `Value` into memory does not fail.
        return value.to_string();
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_string())
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            if character.is_ascii() && character != '\u{7f}' {
                write!(writer, "{character}")?;
            } else if character == '\u{7f}' {
                writer.write_all(b"\x7f")?;
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_writes_it() {
        let value = serde_json::json!({"b": [1, 2.0, null, true], "a": {"é\"\n": "😀\u{7f}"}, "e": [], "o": {}});
        let expected = "{\"b\": [1, 2.0, null, true], \"a\": {\"\\u00e9\\\"\\n\": \"\\ud83d\\ude00\u{7f}\"}, \"e\": [], \"o\": {}}";
        assert_eq!(dumps(&value), expected);
    }
}
