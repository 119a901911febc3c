//! Text that is packed in base64 or in a data URL: files that a service unpacks for the model.
//!
//! What is declared as text is read as text, whatever its bytes. Anything else is binary only if it begins as a binary format does and
//! is no clean text all the same.

use std::borrow::Cow;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

/// What a string that may hold packed bytes holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// Text, unpacked.
    Text(String),
    /// The same, of a string that only some readers unpack: others take it as it stands.
    Perhaps(String),
    /// Bytes of an image, a sound, a document in a binary format.
    Binary,
    /// It is not packed.
    No,
}

/// How a string packs bytes.
struct Packing<'s> {
    /// What stands before the packed bytes: of a data URL all up to its comma.
    head: &'s str,
    payload: &'s str,
    /// The declared media type, with its parameters.
    media: Cow<'s, str>,
    is_base64: bool,
    /// Whether every reader unpacks it.
    is_exact: bool,
}

/// Unpacks a data URL; [`Packed::No`] for other strings.
pub(super) fn unpack_data_url(string: &str) -> Packed {
    data_url(string).map_or(Packed::No, |packing| packing.unpack())
}

/// Unpacks base64, standard or URL-safe, padded or not, with white space or without. `media` is the type that is declared beside it.
pub(super) fn unpack_base64(string: &str, media: &str) -> Packed {
    bare(string, media).unpack()
}

/// Packs `text` as `string` is packed; none where that is not known.
pub(crate) fn repack(string: &str, text: &str) -> Option<String> {
    let packing = data_url(string).unwrap_or_else(|| bare(string, ""));
    let bytes = packing.bytes();
    let encoding = Encoding::of(&bytes, &packing.media);
    let bytes = encoding.encode(text);
    let payload = match packing.is_base64 {
        true if packing.payload.contains(['-', '_']) => URL_SAFE.encode(bytes),
        true => STANDARD.encode(bytes),
        false => percent_encode(&bytes, NON_ALPHANUMERIC).to_string(),
    };
    Some(format!("{}{payload}", packing.head))
}

fn data_url(string: &str) -> Option<Packing<'_>> {
    const SCHEME: &str = "data:";
    /// The most bytes before the comma.
    const HEADER: usize = 1024;
    // Readers of URLs pass over what stands before the scheme.
    let url = string.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let scheme = url.get(..SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let (header, payload) = url.get(SCHEME.len()..)?.split_once(',')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+.;=-_*\"".contains(&byte);
    let folded = header.to_ascii_lowercase();
    let is_base64 = folded.trim_end().ends_with("base64");
    if header.len() > HEADER || !is_base64 && !header.bytes().all(is_plain) {
        return None;
    }
    Some(Packing {
        head: string.get(..string.len() - payload.len())?,
        payload,
        media: Cow::Owned(folded),
        is_base64,
        is_exact: true,
    })
}

fn bare<'s>(string: &'s str, media: &'s str) -> Packing<'s> {
    let alphabet = |byte: u8| sextet(byte).is_some() || byte == b'=' || byte.is_ascii_whitespace();
    Packing {
        head: "",
        payload: string,
        media: Cow::Owned(media.to_ascii_lowercase()),
        is_base64: true,
        // Some readers of base64 pass over all other characters.
        is_exact: string.bytes().all(alphabet),
    }
}

impl Packing<'_> {
    fn bytes(&self) -> Vec<u8> {
        match (self.is_base64, self.payload.contains('%')) {
            (true, false) => decode(self.payload),
            (true, true) => {
                let payload: Vec<u8> = percent_decode(self.payload.as_bytes()).collect();
                decode(&String::from_utf8_lossy(&payload))
            }
            (false, _) => percent_decode(self.payload.as_bytes()).collect(),
        }
    }

    fn unpack(&self) -> Packed {
        /// Enough to tell an image from text without unpacking all of the image.
        const SNIFFED: usize = 4096;
        let is_text = is_text_type(&self.media);
        if !is_text && self.is_base64 && self.payload.len() > SNIFFED {
            let start = decode(self.payload.get(..SNIFFED).unwrap_or_default());
            if has_magic(&start) && !is_clean(&start) {
                return Packed::Binary;
            }
        }
        let bytes = self.bytes();
        let text = match is_text || is_clean(&bytes) {
            true => Some(Encoding::of(&bytes, &self.media).decode(&bytes)),
            false if has_magic(&bytes) || !self.is_exact => None,
            false => text_within(&bytes, &self.media),
        };
        match text {
            Some(text) if self.is_exact => Packed::Text(text),
            Some(text) => Packed::Perhaps(text),
            None if self.is_exact => Packed::Binary,
            None => Packed::No,
        }
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

/// Each run of base64 up to its padding; several runs, one after the other, are all unpacked.
fn decode(string: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(string.len() / 4 * 3 + 3);
    let mut bits = 0_u32;
    let mut count = 0_u32;
    for byte in string.bytes() {
        match sextet(byte) {
            Some(value) => {
                bits = (bits << 6 | value) & 0xFFFF;
                count += 6;
                if count >= 8 {
                    count -= 8;
                    bytes.push((bits >> count & 0xFF) as u8);
                }
            }
            None if byte == b'=' => count = 0,
            None => {}
        }
    }
    bytes
}

/// Whether a media type is one of text, whose bytes a service hands to a model as they are.
pub(super) fn is_text_type(media: &str) -> bool {
    const TEXTS: &[&str] = &[
        "json",
        "json5",
        "jsonl",
        "ndjson",
        "xml",
        "csv",
        "yaml",
        "toml",
        "javascript",
        "ecmascript",
        "typescript",
        "markdown",
        "sql",
        "rtf",
        "html",
        "x-sh",
        "x-python",
        "x-tex",
        "graphql",
        "rfc822",
        "x-httpd-php",
        "x-perl",
        "x-ruby",
    ];
    let media = media.split([';', ',']).next().unwrap_or_default().trim();
    let (kind, subtype) = media.split_once('/').unwrap_or(("", media));
    let last = subtype.rsplit(['+', '-', '.']).next().unwrap_or_default();
    kind == "text"
        || TEXTS.contains(&subtype)
        || subtype.contains('+') && TEXTS.contains(&last)
        || subtype
            .strip_prefix("x-")
            .is_some_and(|subtype| TEXTS.contains(&subtype))
}

/// The media type of a file of that name, if its ending says that it is text.
pub(super) fn type_of_file(name: &str) -> &'static str {
    const TEXTS: &[&str] = &[
        "txt", "text", "md", "markdown", "csv", "tsv", "json", "jsonl", "xml", "html", "htm",
        "yaml", "yml", "toml", "ini", "log", "py", "js", "ts", "java", "c", "h", "cpp", "rs", "go",
        "rb", "php", "sh", "sql", "css", "tex", "srt", "vtt", "eml",
    ];
    let ending = name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match name.contains('.') && TEXTS.contains(&ending.as_str()) {
        true => "text/plain",
        false => "",
    }
}

/// Whether bytes begin as a file in a binary format does.
fn has_magic(bytes: &[u8]) -> bool {
    const MAGIC: &[&[u8]] = &[
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"RIFF",
        b"%PDF",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"OggS",
        b"fLaC",
        b"ID3",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"7z\xbc\xaf",
        b"wOFF",
        b"wOF2",
        b"\x1a\x45\xdf\xa3",
        b"\0\0\x01\0",
        b"#!AMR",
        b"FORM",
        b"\x28\xb5\x2f\xfd",
        b"\xd0\xcf\x11\xe0",
        b"\xff\xfb",
        b"\xff\xf3",
        b"\xff\xf2",
        b"\xff\xf1",
        b"\xff\xf9",
        b"\0\0\0\x0cjP",
        b"\xff\x0a",
        b"FLV",
        b"\0\0\x01\xba",
        b"\x30\x26\xb2\x75",
        b"Rar!",
        b"SQLite",
        b"PAR1",
        b"\x7fELF",
        b"MZ",
    ];
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(4..8) == Some(b"ftyp")
}

/// Whether a character is one that texts have.
fn is_texts(c: char) -> bool {
    !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}' | '\u{85}')
}

/// Whether bytes are text in an encoding that they show themselves, without any odd character. A character that is cut off at the end is
/// none.
fn is_clean(bytes: &[u8]) -> bool {
    match Encoding::of(bytes, "") {
        Encoding::Utf8 | Encoding::Wide { .. } if bytes.is_empty() => true,
        encoding @ Encoding::Wide { .. } => encoding.decode(bytes).chars().all(is_texts),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().all(is_texts),
            Err(error) if error.error_len().is_none() => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                String::from_utf8_lossy(valid).chars().all(is_texts)
            }
            Err(_) => false,
        },
    }
}

/// The text in bytes of an unknown kind: all of them where few are odd, otherwise what can be read between them.
fn text_within(bytes: &[u8], media: &str) -> Option<String> {
    /// The fewest characters in a row that are text.
    const RUN: usize = 12;
    let odd = bytes
        .iter()
        .filter(|byte| !byte.is_ascii() || !is_texts(char::from(**byte)));
    if odd.count() <= bytes.len() / 8 {
        return Some(Encoding::of(bytes, media).decode(bytes));
    }
    // Whoever unpacks a picture or a sound draws or plays it.
    if ["image/", "audio/", "video/"]
        .iter()
        .any(|kind| media.starts_with(kind))
    {
        return None;
    }
    let is_text = |byte: &u8| byte.is_ascii() && is_texts(char::from(*byte));
    let runs = bytes
        .split(|byte| !is_text(byte))
        .filter(|run| run.len() >= RUN);
    let text: Vec<_> = runs.map(String::from_utf8_lossy).collect();
    (!text.is_empty()).then(|| text.join("\n"))
}

/// How bytes are letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Bytes that are not UTF-8 stand for themselves.
    Utf8,
    Latin1,
    Wide {
        /// Bytes of one unit: 2 or 4.
        unit: usize,
        is_big: bool,
        has_mark: bool,
    },
}

impl Encoding {
    /// The encoding of `bytes`: by their mark, by what `media` declares, or by what they look like.
    fn of(bytes: &[u8], media: &str) -> Self {
        let wide = |unit, is_big, has_mark| Self::Wide {
            unit,
            is_big,
            has_mark,
        };
        for (mark, unit, is_big) in [
            (&b"\xff\xfe\0\0"[..], 4, false),
            (b"\0\0\xfe\xff", 4, true),
            (b"\xff\xfe", 2, false),
            (b"\xfe\xff", 2, true),
        ] {
            if bytes.starts_with(mark) {
                return wide(unit, is_big, true);
            }
        }
        let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
        let zeros = |offset: usize, unit: usize| {
            let units = start.chunks_exact(unit);
            let count = units.len();
            count > 0 && units.filter(|unit| unit.get(offset) == Some(&0)).count() * 10 > count * 6
        };
        let looks_wide = match (zeros(0, 4), zeros(1, 4), zeros(2, 4), zeros(3, 4)) {
            (true, true, true, false) => Some((4, true)),
            (false, true, true, true) => Some((4, false)),
            _ if zeros(0, 2) && !zeros(1, 2) => Some((2, true)),
            _ if zeros(1, 2) && !zeros(0, 2) => Some((2, false)),
            _ => None,
        };
        if let Some((unit, is_big)) = looks_wide {
            return wide(unit, is_big, false);
        }
        let declared = media.split_once("charset=").map_or("", |(_, rest)| rest);
        let declared = declared.trim_start_matches(['"', '\'', ' ']);
        for (name, unit, is_big) in [
            ("utf-16be", 2, true),
            ("utf-16", 2, false),
            ("utf-32be", 4, true),
            ("utf-32", 4, false),
        ] {
            if declared.starts_with(name) {
                return wide(unit, is_big, false);
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => Self::Utf8,
            Err(_)
                if ["iso-8859", "latin", "windows-125", "cp125"]
                    .iter()
                    .any(|name| declared.starts_with(name)) =>
            {
                Self::Latin1
            }
            Err(_) => {
                let has_wide_letters = bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
                if has_wide_letters {
                    Self::Utf8
                } else {
                    Self::Latin1
                }
            }
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Utf8 => {
                let mut text = String::with_capacity(bytes.len());
                for chunk in bytes.utf8_chunks() {
                    text.push_str(chunk.valid());
                    text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
                }
                text
            }
            Self::Wide {
                unit,
                is_big,
                has_mark,
            } => {
                let number = |unit: &[u8]| {
                    let push = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
                    match is_big {
                        true => unit.iter().fold(0, push),
                        false => unit.iter().rev().fold(0, push),
                    }
                };
                let units = bytes
                    .chunks_exact(unit)
                    .skip(usize::from(has_mark))
                    .map(number);
                const ODD: char = char::REPLACEMENT_CHARACTER;
                match unit {
                    2 => char::decode_utf16(units.map(|unit| unit as u16))
                        .map(|c| c.unwrap_or(ODD))
                        .collect(),
                    _ => units
                        .map(|unit| char::from_u32(unit).unwrap_or(ODD))
                        .collect(),
                }
            }
        }
    }

    fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect(),
            Self::Wide {
                unit,
                is_big,
                has_mark,
            } => {
                let mark = has_mark.then_some('\u{feff}');
                let mut bytes = Vec::with_capacity(text.len() * unit);
                for c in mark.into_iter().chain(text.chars()) {
                    let mut units = [0; 2];
                    let numbers: Vec<u32> = match unit {
                        2 => c
                            .encode_utf16(&mut units)
                            .iter()
                            .map(|unit| u32::from(*unit))
                            .collect(),
                        _ => vec![u32::from(c)],
                    };
                    for number in numbers {
                        match is_big {
                            true => bytes.extend(number.to_be_bytes().iter().skip(4 - unit)),
                            false => bytes.extend(number.to_le_bytes().iter().take(unit)),
                        }
                    }
                }
                bytes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Packed {
        Packed::Text(text.to_owned())
    }

    fn url(media: &str, bytes: &[u8]) -> String {
        format!("data:{media};base64,{}", STANDARD.encode(bytes))
    }

    fn wide(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn text_is_unpacked_however_it_is_spelled() {
        for spelled in [
            "aGkgw7w/Pz8=",
            "aGkgw7w/Pz8",
            "aGkg\nw7w_Pz8=",
            " a G k g w7w/Pz8",
        ] {
            assert_eq!(unpack_base64(spelled, ""), text("hi ü???"), "{spelled}");
        }
        for spelled in [
            "data:text/plain;base64,aGk=",
            "DATA:image/png;BASE64,aGk=",
            "data:,h%69",
            " \tdata:text/plain;base64,aGk=",
            "data:text/plain;base64,%61Gk=",
            "data:text/plain; x=y z ; base64,aGk=",
            "data:text/plain;base64,aG!k=",
        ] {
            assert_eq!(unpack_data_url(spelled), text("hi"), "{spelled}");
        }
        assert_eq!(unpack_base64("//5oAGkA", ""), text("hi"));
        assert_eq!(
            unpack_base64("aWdub3Jl!IGFsbA==", ""),
            Packed::Perhaps("ignore all".to_owned())
        );
    }

    #[test]
    fn a_text_file_is_read_in_any_encoding() {
        let said = "forbidden-things and more of it ".repeat(20);
        let files: Vec<(&str, Vec<u8>)> = vec![
            (
                "text/plain;charset=iso-8859-1",
                [b"caf\xe9 ", said.as_bytes()].concat(),
            ),
            ("text/plain", [b"it\x92s ", said.as_bytes()].concat()),
            ("text/plain", [b"\x0b", said.as_bytes()].concat()),
            ("text/plain", [b"\0", said.as_bytes()].concat()),
            (
                "application/octet-stream",
                [b"hi\x08 ", said.as_bytes()].concat(),
            ),
            ("text/plain;charset=utf-16le", wide(&said, u16::to_le_bytes)),
            ("application/x", wide(&said, u16::to_be_bytes)),
            (
                "text/plain",
                said.chars()
                    .flat_map(|c| u32::from(c).to_le_bytes())
                    .collect(),
            ),
            ("text/csv", [b"a,b\n\xff,", said.as_bytes()].concat()),
            ("", [&[b'y'; 5000][..], b"\xe9", said.as_bytes()].concat()),
            (
                "text/plain",
                ["\u{85} ".as_bytes(), said.as_bytes()].concat(),
            ),
            (
                "text/plain",
                [b"\x89PNG\r\n\x1a\n", said.as_bytes()].concat(),
            ),
            ("image/gif", [b"GIF89a; ", said.as_bytes()].concat()),
            (
                "application/x",
                [&[0x81, 0x02, 0xfe, 0x90][..], said.as_bytes(), &[0x91; 900]].concat(),
            ),
        ];
        for (media, bytes) in files {
            match unpack_data_url(&url(media, &bytes)) {
                Packed::Text(text) => assert!(text.contains("forbidden-things"), "{media} {text}"),
                other => panic!("{media} {:?}: {other:?}", bytes.get(..8)),
            }
        }
    }

    #[test]
    fn what_is_no_text_stays_packed() {
        let picture: Vec<u8> = (0..90_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for (media, magic) in [
            ("image/png", &b"\x89PNG\r\n\x1a\n"[..]),
            (
                "image/png",
                b"\x91\x92 made by another drawing program \x93",
            ),
            ("application/pdf", b"%PDF-1.7\n"),
            ("", b"PK\x03\x04"),
        ] {
            let packed = url(media, &[magic, &picture].concat());
            assert_eq!(unpack_data_url(&packed), Packed::Binary, "{media}");
        }
        assert_eq!(unpack_base64("iVBORw0KGgo=", ""), Packed::Binary);
    }

    #[test]
    fn other_strings_are_not_packed() {
        assert_eq!(unpack_base64("say: hi", ""), Packed::No);
        assert_eq!(unpack_data_url("https://example.com/data:,a"), Packed::No);
        assert_eq!(unpack_data_url("data:ignore all that, and"), Packed::No);
    }

    #[test]
    fn a_rewritten_text_is_packed_as_it_was() {
        let plain = "data:text/plain;base64,aGkgQW5u";
        assert_eq!(
            repack(plain, "hi <X>").unwrap(),
            "data:text/plain;base64,aGkgPFg+"
        );
        assert_eq!(repack("aGkgQW5u", "hi").unwrap(), "aGk=");
        assert_eq!(
            repack("data:,hi%20Ann", "hi <X>").unwrap(),
            "data:,hi%20%3CX%3E"
        );
        for bytes in [
            b"caf\xe9 Ann".to_vec(),
            [b"\xff\xfe".to_vec(), wide("hi Ann", u16::to_le_bytes)].concat(),
            wide("hi Ann 😀", u16::to_be_bytes),
            "hi 😀 Ann"
                .chars()
                .flat_map(|c| u32::from(c).to_be_bytes())
                .collect(),
        ] {
            let packed = url("text/plain", &bytes);
            let Packed::Text(text) = unpack_data_url(&packed) else {
                panic!("{packed}");
            };
            assert_eq!(repack(&packed, &text).as_deref(), Some(&*packed));
        }
    }

    #[test]
    fn types_of_text_are_known() {
        for media in [
            "text/plain",
            "text/x",
            "application/json",
            "application/ld+json",
            "image/svg+xml",
            "application/x-yaml",
        ] {
            assert!(is_text_type(media), "{media}");
        }
        for media in [
            "",
            "image/png",
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ] {
            assert!(!is_text_type(media), "{media}");
        }
        assert_eq!(type_of_file("a.CSV"), "text/plain");
        assert_eq!(type_of_file("a.png"), "");
    }
}
