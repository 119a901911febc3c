//! Format specifications (`{x:>8.2f}`) and the `%` operator on texts.

use super::{Value, ValueError, number::float_text, types::MAX_LENGTH};

/// A parsed format specification.
#[derive(Debug, Clone, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Value {
    /// The text of `format(self, spec)`.
    pub(crate) fn format(&self, spec: &str) -> Result<String, ValueError> {
        if spec.is_empty() {
            return Ok(self.to_string());
        }
        let spec = Spec::parse(spec)?;
        match self.plain() {
            Self::Str(text) => spec.text(text),
            Self::Float(number) => spec.float(*number),
            _ => match self.as_int() {
                Some(number) => spec.int(number),
                None => Err(ValueError::type_error(format!(
                    "a value of type {} takes no format specification",
                    self.type_name()
                ))),
            },
        }
    }
}

fn invalid(what: &str) -> ValueError {
    ValueError::invalid(format!("the format specification is not valid: {what}"))
}

impl Spec {
    fn parse(text: &str) -> Result<Self, ValueError> {
        let characters: Vec<char> = text.chars().collect();
        let mut rest = characters.as_slice();
        let mut spec = Self::default();
        match *rest {
            [fill, align @ ('<' | '>' | '=' | '^'), ..] => {
                spec.fill = Some(fill);
                spec.align = Some(align);
                rest = rest.get(2..).unwrap_or_default();
            }
            [align @ ('<' | '>' | '=' | '^'), ..] => {
                spec.align = Some(align);
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {}
        }
        spec.sign = take(&mut rest, |c| matches!(c, '+' | '-' | ' '));
        spec.alternate = take(&mut rest, |c| c == '#').is_some();
        if take(&mut rest, |c| c == '0').is_some() {
            spec.fill = spec.fill.or(Some('0'));
            spec.align = spec.align.or(Some('0'));
        }
        spec.width = take_number(&mut rest)?.unwrap_or(0);
        spec.grouping = take(&mut rest, |c| matches!(c, ',' | '_'));
        if take(&mut rest, |c| c == '.').is_some() {
            spec.precision = Some(
                take_number(&mut rest)?
                    .ok_or_else(|| invalid("digits are missing after the dot"))?,
            );
        }
        spec.kind = take(&mut rest, |_| true);
        if rest.is_empty() {
            Ok(spec)
        } else {
            Err(invalid("something follows the type"))
        }
    }

    fn text(&self, text: &str) -> Result<String, ValueError> {
        if !matches!(self.kind, None | Some('s')) {
            return Err(invalid("this type is not for texts"));
        }
        if self.sign.is_some()
            || self.alternate
            || self.grouping.is_some()
            || self.align == Some('=')
        {
            return Err(invalid("signs and grouping are not for texts"));
        }
        let cut: String = text
            .chars()
            .take(self.precision.unwrap_or(usize::MAX))
            .collect();
        Ok(self.padded("", &cut, '<'))
    }

    fn int(&self, number: i64) -> Result<String, ValueError> {
        let magnitude = number.unsigned_abs();
        let (prefix, digits, group) = match self.kind {
            None | Some('d' | 'n') => ("", magnitude.to_string(), 3),
            Some('b') => ("0b", format!("{magnitude:b}"), 4),
            Some('o') => ("0o", format!("{magnitude:o}"), 4),
            Some('x') => ("0x", format!("{magnitude:x}"), 4),
            Some('X') => ("0X", format!("{magnitude:X}"), 4),
            Some('c') => {
                let character = u32::try_from(number).ok().and_then(char::from_u32);
                let character =
                    character.ok_or_else(|| ValueError::overflow("there is no such character"))?;
                return Ok(self.padded("", &character.to_string(), '<'));
            }
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
                #[expect(clippy::cast_precision_loss, reason = "what Python does")]
                return self.float(number as f64);
            }
            Some(_) => return Err(invalid("this type is not for whole numbers")),
        };
        if self.precision.is_some() {
            return Err(invalid("a whole number has no precision"));
        }
        let mut sign = self.sign_text(number < 0).to_owned();
        if self.alternate {
            sign.push_str(prefix);
        }
        Ok(self.number(&sign, &digits, "", group))
    }

    fn float(&self, number: f64) -> Result<String, ValueError> {
        let sign = self.sign_text(number.is_sign_negative() && !number.is_nan());
        let magnitude = number.abs();
        let kind = self.kind.unwrap_or('r');
        if !number.is_finite() {
            let text = if number.is_nan() { "nan" } else { "inf" };
            let text = if kind.is_uppercase() {
                text.to_uppercase()
            } else {
                text.to_owned()
            };
            return Ok(self.padded(sign, &text, '>'));
        }
        let precision = self.precision.unwrap_or(6);
        let text = match kind {
            'f' | 'F' => format!("{magnitude:.precision$}"),
            '%' => format!("{:.precision$}", magnitude * 100.0),
            'e' | 'E' => exponent_form(magnitude, precision),
            'g' | 'G' | 'n' => general_form(magnitude, precision.max(1), self.alternate, 0),
            'r' => match self.precision {
                None => float_text(magnitude),
                Some(precision) => general_form(magnitude, precision.max(1), self.alternate, 1),
            },
            _ => return Err(invalid("this type is not for floating-point numbers")),
        };
        let text = if kind.is_uppercase() {
            text.to_uppercase()
        } else {
            text
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (whole, rest) = text.split_at(end);
        let suffix = if kind == '%' {
            format!("{rest}%")
        } else {
            rest.to_owned()
        };
        Ok(self.number(sign, whole, &suffix, 3))
    }

    fn sign_text(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        }
    }

    /// Sign, grouped digits and what follows them, padded to the width.
    fn number(&self, sign: &str, digits: &str, suffix: &str, group: usize) -> String {
        let Some(separator) = self.grouping else {
            return self.padded(sign, &format!("{digits}{suffix}"), '>');
        };
        let mut digits = digits.to_owned();
        if self.align == Some('0') {
            // Zeros that fill the width are grouped too.
            let room = self
                .width
                .saturating_sub(sign.chars().count() + suffix.chars().count());
            while grouped_length(digits.len(), group) < room {
                digits.insert(0, '0');
            }
        }
        let grouped = group_digits(&digits, separator, group);
        self.padded(sign, &format!("{grouped}{suffix}"), '>')
    }

    fn padded(&self, sign: &str, text: &str, default: char) -> String {
        let length = sign.chars().count() + text.chars().count();
        let missing = self.width.saturating_sub(length);
        let pad = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        let align = match self.align {
            Some('0') if default == '<' => '<',
            Some('0') => '=',
            align => align.unwrap_or(default),
        };
        match align {
            '<' => format!("{sign}{text}{}", pad(missing)),
            '=' => format!("{sign}{}{text}", pad(missing)),
            '^' => format!(
                "{}{sign}{text}{}",
                pad(missing / 2),
                pad(missing - missing / 2)
            ),
            _ => format!("{}{sign}{text}", pad(missing)),
        }
    }
}

fn grouped_length(digits: usize, group: usize) -> usize {
    digits + digits.saturating_sub(1) / group
}

fn group_digits(digits: &str, separator: char, group: usize) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(group) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

fn take(rest: &mut &[char], accept: impl Fn(char) -> bool) -> Option<char> {
    let (first, others) = rest.split_first()?;
    accept(*first).then(|| {
        *rest = others;
        *first
    })
}

fn take_number(rest: &mut &[char]) -> Result<Option<usize>, ValueError> {
    let mut number = None;
    while let Some(digit) = take(rest, |c| c.is_ascii_digit()) {
        let digit = digit.to_digit(10).unwrap_or(0) as usize;
        let next = number.unwrap_or(0_usize) * 10 + digit;
        if next > MAX_LENGTH {
            return Err(ValueError::limit("a width or precision is at most 100000"));
        }
        number = Some(next);
    }
    Ok(number)
}

/// `1.50e+02`.
fn exponent_form(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The shorter of the plain and the exponent form, without zeros at the end; at least `decimals` digits after the dot.
fn general_form(number: f64, precision: usize, alternate: bool, decimals: usize) -> String {
    let scientific = exponent_form(number, precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent_value: i64 = exponent.parse().unwrap_or(0);
    let limit = i64::try_from(precision).unwrap_or(i64::MAX) - i64::try_from(decimals).unwrap_or(0);
    if exponent_value < -4 || exponent_value >= limit {
        let mantissa = if alternate {
            mantissa
        } else {
            without_zeros(mantissa)
        };
        return format!("{mantissa}e{exponent}");
    }
    let places = i64::try_from(precision).unwrap_or(i64::MAX) - 1 - exponent_value;
    let places = usize::try_from(places).unwrap_or(0);
    let plain = format!("{number:.places$}");
    if alternate {
        return plain;
    }
    let short = without_zeros(&plain);
    if decimals > 0 && !short.contains('.') {
        format!("{short}.0")
    } else {
        short.to_owned()
    }
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// `template % values`.
pub(super) fn percent(template: &str, values: &Value) -> Result<String, ValueError> {
    let mut arguments = match values.plain() {
        Value::Tuple(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    }
    .iter();
    let mut used_key = false;
    let mut out = String::new();
    let characters: Vec<char> = template.chars().collect();
    let mut rest = characters.as_slice();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != '%' {
            out.push(*first);
            continue;
        }
        let key = take_key(&mut rest)?;
        let mut spec = Spec {
            align: Some('>'),
            ..Spec::default()
        };
        while let Some(flag) = take(&mut rest, |c| "-+ 0#".contains(c)) {
            match flag {
                '-' => spec.align = Some('<'),
                '0' if spec.align == Some('>') => {
                    spec.align = Some('0');
                    spec.fill = Some('0');
                }
                '#' => spec.alternate = true,
                '+' => spec.sign = Some('+'),
                ' ' if spec.sign.is_none() => spec.sign = Some(' '),
                _ => {}
            }
        }
        spec.width = take_number(&mut rest)?.unwrap_or(0);
        if take(&mut rest, |c| c == '.').is_some() {
            spec.precision = Some(take_number(&mut rest)?.unwrap_or(0));
        }
        let kind = take(&mut rest, |_| true).ok_or_else(|| invalid("the text ends after %"))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match key {
            Some(key) => {
                used_key = true;
                values.item(&Value::from(key))?
            }
            None => arguments.next().cloned().ok_or_else(|| {
                ValueError::type_error("the text has more places than there are values")
            })?,
        };
        out.push_str(&percent_one(spec, kind, &value)?);
        if out.len() > MAX_LENGTH * 4 {
            return Err(ValueError::limit("the text would become too long"));
        }
    }
    // A single value that is not a tuple may stay unused only where it is a mapping.
    if !used_key && arguments.next().is_some() && !matches!(values, Value::Dict(_) | Value::List(_))
    {
        return Err(ValueError::type_error(
            "there are more values than places in the text",
        ));
    }
    Ok(out)
}

fn take_key(rest: &mut &[char]) -> Result<Option<String>, ValueError> {
    if take(rest, |c| c == '(').is_none() {
        return Ok(None);
    }
    let mut key = String::new();
    while let Some(character) = take(rest, |c| c != ')') {
        key.push(character);
    }
    take(rest, |c| c == ')').ok_or_else(|| invalid("`)` is missing"))?;
    Ok(Some(key))
}

fn percent_one(mut spec: Spec, kind: char, value: &Value) -> Result<String, ValueError> {
    let zero_fill_for_text = |spec: &mut Spec| {
        if spec.align == Some('0') {
            spec.align = Some('>');
            spec.fill = None;
        }
        spec.sign = None;
        spec.alternate = false;
    };
    match kind {
        's' | 'r' | 'a' => {
            zero_fill_for_text(&mut spec);
            spec.text(&if kind == 's' {
                value.to_string()
            } else {
                value.repr()
            })
        }
        'c' => {
            zero_fill_for_text(&mut spec);
            match value.plain() {
                Value::Str(text) if text.chars().count() == 1 => spec.text(text),
                _ => {
                    spec.kind = Some('c');
                    spec.int(value.as_int().ok_or_else(|| not_a_number(value))?)
                }
            }
        }
        'd' | 'i' | 'u' => {
            let number = match value.plain() {
                Value::Float(_) => super::number::to_int(value)?.as_int(),
                _ => value.as_int(),
            };
            spec.kind = Some('d');
            spec.precision = None;
            spec.int(number.ok_or_else(|| not_a_number(value))?)
        }
        'x' | 'X' | 'o' => {
            spec.kind = Some(kind);
            spec.precision = None;
            spec.int(value.as_int().ok_or_else(|| not_a_number(value))?)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            spec.kind = Some(kind);
            spec.float(value.as_float().ok_or_else(|| not_a_number(value))?)
        }
        _ => Err(invalid("there is no such type")),
    }
}

fn not_a_number(value: &Value) -> ValueError {
    ValueError::type_error(format!(
        "a number is needed, not a value of type {}",
        value.type_name()
    ))
}
