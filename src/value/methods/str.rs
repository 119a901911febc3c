//! Methods of texts. Indices count characters.

use std::sync::LazyLock;

use regex::Regex;

use super::{Answer, Arguments};
use crate::value::{Value, ValueError, index::from_end, text::is_printable, types::MAX_LENGTH};

pub(super) const NAMES: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

pub(super) fn call(text: &str, name: &str, arguments: &Arguments) -> Answer {
    NAMES.contains(&name).then(|| {
        let result = call_known(text, name, arguments)?;
        match result.length() {
            Some(length) if length > MAX_LENGTH && length > text.chars().count() => Err(
                ValueError::limit("the result would be longer than 100000 characters or elements"),
            ),
            _ => Ok(result),
        }
    })
}

fn call_known(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    match name {
        "lower" | "upper" | "casefold" | "capitalize" | "title" | "swapcase" => {
            arguments.all([])?;
            Ok(Value::from(change_case(text, name)))
        }
        "strip" | "lstrip" | "rstrip" => strip(text, name, arguments),
        "split" | "rsplit" => split(text, name, arguments),
        "splitlines" => {
            let [keep] = arguments.bind(["keepends"], 0)?;
            Ok(Value::list(lines(text, keep.is_some_and(Value::is_truthy))))
        }
        "partition" | "rpartition" => partition(text, name, arguments),
        "join" => join(text, arguments),
        "replace" => replace(text, arguments),
        "startswith" | "endswith" => affix(text, name, arguments),
        "find" | "rfind" | "index" | "rindex" | "count" => find(text, name, arguments),
        "removeprefix" => {
            let [prefix] = arguments.all(["prefix"])?;
            Ok(Value::from(
                text.strip_prefix(str_of(prefix)?).unwrap_or(text),
            ))
        }
        "removesuffix" => {
            let [suffix] = arguments.all(["suffix"])?;
            Ok(Value::from(
                text.strip_suffix(str_of(suffix)?).unwrap_or(text),
            ))
        }
        "center" | "ljust" | "rjust" | "zfill" => pad(text, name, arguments),
        "expandtabs" => {
            let [size] = arguments.bind(["tabsize"], 0)?;
            expand_tabs(text, size.map_or(Ok(8), int_of)?)
        }
        _ => {
            arguments.all([])?;
            Ok(Value::Bool(has_property(text, name)))
        }
    }
}

/// What Python counts as white space in texts.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

fn str_of(value: &Value) -> Result<&str, ValueError> {
    value.as_str().ok_or_else(|| {
        ValueError::type_error(format!(
            "a text is needed, not a value of type {}",
            value.type_name()
        ))
    })
}

fn int_of(value: &Value) -> Result<i64, ValueError> {
    value.as_int().ok_or_else(|| {
        ValueError::type_error(format!(
            "a whole number is needed, not a value of type {}",
            value.type_name()
        ))
    })
}

fn change_case(text: &str, name: &str) -> String {
    match name {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "casefold" => text.to_lowercase().replace('ß', "ss").replace('ς', "σ"),
        "capitalize" => {
            let mut characters = text.chars();
            match characters.next() {
                Some(first) => first
                    .to_uppercase()
                    .chain(characters.as_str().to_lowercase().chars())
                    .collect(),
                None => String::new(),
            }
        }
        "swapcase" => text
            .chars()
            .flat_map(|character| -> Vec<char> {
                if character.is_uppercase() {
                    character.to_lowercase().collect()
                } else {
                    character.to_uppercase().collect()
                }
            })
            .collect(),
        _ => {
            let mut inside = false;
            let mut out = String::new();
            for character in text.chars() {
                if inside {
                    out.extend(character.to_lowercase());
                } else {
                    out.extend(character.to_uppercase());
                }
                inside = is_cased(character);
            }
            out
        }
    }
}

fn is_cased(character: char) -> bool {
    character.is_uppercase() || character.is_lowercase()
}

fn strip(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [set] = arguments.bind(["chars"], 0)?;
    let set = match set {
        None | Some(Value::None) => None,
        Some(set) => Some(str_of(set)?),
    };
    let strips =
        |character: char| set.map_or_else(|| is_space(character), |set| set.contains(character));
    Ok(Value::from(match name {
        "strip" => text.trim_matches(strips),
        "lstrip" => text.trim_start_matches(strips),
        _ => text.trim_end_matches(strips),
    }))
}

fn split(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [separator, limit] = arguments.bind(["sep", "maxsplit"], 0)?;
    let limit = limit.map_or(Ok(-1), int_of)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator {
        None | Some(Value::None) if name == "split" => split_words(text, limit),
        None | Some(Value::None) => rsplit_words(text, limit),
        Some(separator) => {
            let separator = str_of(separator)?;
            if separator.is_empty() {
                return Err(ValueError::invalid("the separator is empty"));
            }
            if name == "split" {
                text.splitn(limit.saturating_add(1), separator).collect()
            } else {
                let mut parts: Vec<&str> =
                    text.rsplitn(limit.saturating_add(1), separator).collect();
                parts.reverse();
                parts
            }
        }
    };
    Ok(Value::list(parts))
}

fn split_words(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        let (word, after) = rest.split_once(is_space).unwrap_or((rest, ""));
        parts.push(word);
        rest = after.trim_start_matches(is_space);
    }
    parts
}

fn rsplit_words(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        let (before, word) = rest.rsplit_once(is_space).unwrap_or(("", rest));
        parts.push(word);
        rest = before.trim_end_matches(is_space);
    }
    parts.reverse();
    parts
}

fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    let is_end = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    while let Some((line, after)) = rest.split_once(is_end) {
        let ending = rest.len() - line.len() - after.len();
        let crlf = rest
            .get(line.len()..)
            .is_some_and(|end| end.starts_with("\r\n"));
        let ending = if crlf { 2 } else { ending };
        lines.push(if keep {
            rest.get(..line.len() + ending).unwrap_or(line)
        } else {
            line
        });
        rest = rest.get(line.len() + ending..).unwrap_or("");
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn partition(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [separator] = arguments.all(["sep"])?;
    let separator = str_of(separator)?;
    if separator.is_empty() {
        return Err(ValueError::invalid("the separator is empty"));
    }
    let parts = if name == "partition" {
        text.split_once(separator)
    } else {
        text.rsplit_once(separator)
    };
    Ok(match parts {
        Some((before, after)) => Value::tuple([before, separator, after]),
        None if name == "partition" => Value::tuple([text, "", ""]),
        None => Value::tuple(["", "", text]),
    })
}

fn join(separator: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [items] = arguments.all(["iterable"])?;
    let items = items.iterate()?;
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(str_of(item)?);
        if out.len() > MAX_LENGTH * 4 {
            return Err(ValueError::limit("the text would become too long"));
        }
    }
    Ok(Value::from(out))
}

fn replace(text: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [old, new, count] = arguments.bind(["old", "new", "count"], 2)?;
    let old = str_of(old.unwrap_or(&Value::None))?;
    let new = str_of(new.unwrap_or(&Value::None))?;
    let count = count.map_or(Ok(-1), int_of)?;
    let found = text.matches(old).count();
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(found);
    let length = text.len().saturating_add(count.saturating_mul(new.len()));
    if length > MAX_LENGTH * 8 {
        return Err(ValueError::limit("the text would become too long"));
    }
    Ok(Value::from(text.replacen(old, new, count)))
}

/// The part of a text between two indices as Python's methods take them; none where the start lies behind the end.
/// With it the place of its first character.
fn part<'a>(
    text: &'a str,
    start: Option<&Value>,
    end: Option<&Value>,
) -> Result<Option<(&'a str, usize)>, ValueError> {
    let length = text.chars().count();
    let place = |bound: Option<&Value>, absent: usize| match bound {
        None | Some(Value::None) => Ok(absent),
        Some(bound) => int_of(bound).map(|index| from_end(index, length).unwrap_or(0)),
    };
    let (start, end) = (place(start, 0)?, place(end, length)?.min(length));
    if start > end {
        return Ok(None);
    }
    let offset = |place: usize| {
        text.char_indices()
            .nth(place)
            .map_or(text.len(), |(offset, _)| offset)
    };
    Ok(text
        .get(offset(start)..offset(end))
        .map(|part| (part, start)))
}

fn affix(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [affix, start, end] = arguments.bind(["prefix", "start", "end"], 1)?;
    let matches = |affix: &Value| -> Result<bool, ValueError> {
        let affix = str_of(affix)?;
        Ok(part(text, start, end)?.is_some_and(|(part, _)| match name {
            "startswith" => part.starts_with(affix),
            _ => part.ends_with(affix),
        }))
    };
    let found = match affix {
        Some(Value::Tuple(affixes)) => {
            let mut found = false;
            for affix in affixes.iter() {
                found = found || matches(affix)?;
            }
            found
        }
        affix => matches(affix.unwrap_or(&Value::None))?,
    };
    Ok(Value::Bool(found))
}

fn find(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [wanted, start, end] = arguments.bind(["sub", "start", "end"], 1)?;
    let wanted = str_of(wanted.unwrap_or(&Value::None))?;
    let part = part(text, start, end)?;
    if name == "count" {
        return Ok(Value::from(
            part.map_or(0, |(part, _)| part.matches(wanted).count()),
        ));
    }
    let found = part.and_then(|(part, first)| {
        let offset = if name.starts_with('r') {
            part.rfind(wanted)
        } else {
            part.find(wanted)
        };
        offset
            .and_then(|offset| part.get(..offset))
            .map(|before| first + before.chars().count())
    });
    match found {
        Some(place) => Ok(Value::from(place)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(ValueError::invalid("the text is not found")),
    }
}

fn pad(text: &str, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [width, fill] = arguments.bind(["width", "fillchar"], 1)?;
    let width = usize::try_from(int_of(width.unwrap_or(&Value::None))?).unwrap_or(0);
    if width > MAX_LENGTH {
        return Err(ValueError::limit("a width is at most 100000"));
    }
    let fill = match fill {
        None => ' ',
        Some(fill) => {
            let mut characters = str_of(fill)?.chars();
            match (characters.next(), characters.next()) {
                (Some(fill), None) if name != "zfill" => fill,
                _ => return Err(ValueError::type_error("the fill is one character")),
            }
        }
    };
    let missing = width.saturating_sub(text.chars().count());
    let fill = |count: usize| fill.to_string().repeat(count);
    Ok(Value::from(match name {
        "ljust" => format!("{text}{}", fill(missing)),
        "rjust" => format!("{}{text}", fill(missing)),
        "center" => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill(left), fill(missing - left))
        }
        _ => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let sign = text.get(..text.len() - digits.len()).unwrap_or("");
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
    }))
}

fn expand_tabs(text: &str, size: i64) -> Result<Value, ValueError> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = String::new();
    let mut column = 0;
    for character in text.chars() {
        match character {
            '\t' => {
                let spaces = if size > 0 { size - column % size } else { 0 };
                if spaces > MAX_LENGTH || out.len() > MAX_LENGTH * 4 {
                    return Err(ValueError::limit("the text would become too long"));
                }
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            _ => {
                out.push(character);
                column = if matches!(character, '\n' | '\r') {
                    0
                } else {
                    column + 1
                };
            }
        }
    }
    Ok(Value::from(out))
}

fn has_property(text: &str, name: &str) -> bool {
    let all = |property: fn(char) -> bool| !text.is_empty() && text.chars().all(property);
    match name {
        "isascii" => text.is_ascii(),
        "isprintable" => text.chars().all(is_printable),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdigit" | "isdecimal" => all(is_digit),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        "isupper" => text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        "istitle" => is_title(text),
        _ => is_identifier(text),
    }
}

/// Decimal digits of any script: in Unicode each script's ten follow each other, which `\d` of the regex crate knows.
fn is_digit(character: char) -> bool {
    static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\d$").ok());
    if character.is_ascii() {
        return character.is_ascii_digit();
    }
    DIGIT
        .as_ref()
        .is_some_and(|digit| digit.is_match(character.encode_utf8(&mut [0; 4])))
}

fn is_title(text: &str) -> bool {
    let mut inside = false;
    let mut any = false;
    for character in text.chars() {
        if (inside && character.is_uppercase()) || (!inside && character.is_lowercase()) {
            return false;
        }
        inside = is_cased(character);
        any = any || inside;
    }
    any
}

fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || character == '_')
}
