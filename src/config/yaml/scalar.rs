//! Plain scalars as PyYAML resolves them (YAML 1.1).

use std::sync::LazyLock;

use regex::Regex;

use super::node::Kind;

static INTEGER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
});
static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
});
static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$",
    )
});

#[allow(
    clippy::expect_used,
    reason = "the patterns are constants that the tests compile"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// What a plain scalar stands for.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Kind::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Bool(false);
        }
        _ => {}
    }
    let starts_a_number = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_digit() || b"+-.".contains(&first));
    if !starts_a_number {
        return Kind::String(text.to_owned());
    }
    if FLOAT.is_match(text) {
        return float(text).map_or_else(|| Kind::String(text.to_owned()), Kind::Float);
    }
    if INTEGER.is_match(text) {
        return integer(text);
    }
    if TIMESTAMP.is_match(text) {
        return Kind::Timestamp(text.to_owned());
    }
    Kind::String(text.to_owned())
}

/// The number that a text of the integer's form is; one that is too great for 64 bits becomes a float.
pub(super) fn integer(text: &str) -> Kind {
    let digits = text.replace('_', "");
    let (sign, digits) = split_sign(&digits);
    let (radix, body) = if let Some(body) = digits.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = digits.strip_prefix("0x") {
        (16, body)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else {
        (10, digits)
    };
    let value = if body.contains(':') {
        body.split(':').try_fold(0_i128, |total, part| {
            let part = part.parse::<i128>().ok()?;
            total.checked_mul(60)?.checked_add(part)
        })
    } else {
        i128::from_str_radix(body, radix).ok()
    };
    let value = value.map(|value| value * i128::from(sign));
    match value.map(i64::try_from) {
        Some(Ok(value)) => Kind::Integer(value),
        _ => match digits.parse::<f64>() {
            Ok(value) => Kind::Float(value * f64::from(sign)),
            Err(_) => Kind::String(text.to_owned()),
        },
    }
}

/// The number that a text of the float's form is.
pub(super) fn float(text: &str) -> Option<f64> {
    let lower = text.replace('_', "").to_lowercase();
    let (sign, digits) = split_sign(&lower);
    let sign = f64::from(sign);
    match digits {
        ".inf" => Some(sign * f64::INFINITY),
        ".nan" => Some(f64::NAN),
        _ if digits.contains(':') => {
            let mut total = 0.0;
            for part in digits.split(':') {
                total = total * 60.0 + part.parse::<f64>().ok()?;
            }
            Some(sign * total)
        }
        _ => digits.parse::<f64>().ok().map(|value| sign * value),
    }
}

fn split_sign(text: &str) -> (i8, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyYAML 6 makes of each.
    #[test]
    fn scalars_are_what_pyyaml_makes_of_them() {
        let text = |text: &str| Kind::String(text.to_owned());
        let cases = [
            ("yes", Kind::Bool(true)),
            ("Off", Kind::Bool(false)),
            ("y", text("y")),
            ("yEs", text("yEs")),
            ("~", Kind::Null),
            ("None", text("None")),
            ("010", Kind::Integer(8)),
            ("0o10", text("0o10")),
            ("08", text("08")),
            ("0x1F", Kind::Integer(31)),
            ("0b101", Kind::Integer(5)),
            ("1_000", Kind::Integer(1000)),
            ("190:20:30", Kind::Integer(685_230)),
            ("1:30", Kind::Integer(90)),
            ("-1:30", Kind::Integer(-90)),
            ("+12", Kind::Integer(12)),
            ("1e3", text("1e3")),
            ("1.5e3", text("1.5e3")),
            ("1.5e+3", Kind::Float(1500.0)),
            ("1.", Kind::Float(1.0)),
            (".5", Kind::Float(0.5)),
            ("-.5", text("-.5")),
            ("1:30.5", Kind::Float(90.5)),
            ("-.inf", Kind::Float(f64::NEG_INFINITY)),
            ("1.0", Kind::Float(1.0)),
            ("1.0.0", text("1.0.0")),
            ("2.x", text("2.x")),
            ("2024-01-31", Kind::Timestamp("2024-01-31".to_owned())),
            (
                "12345678901234567890",
                Kind::Float(12_345_678_901_234_567_890.0),
            ),
        ];
        for (plain, expected) in cases {
            assert_eq!(resolve(plain), expected, "{plain}");
        }
        assert!(matches!(resolve(".NaN"), Kind::Float(value) if value.is_nan()));
    }
}
