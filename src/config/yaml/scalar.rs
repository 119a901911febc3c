//! What a plain scalar is: YAML 1.1, as PyYAML's safe loader resolves it.

use super::NodeKind;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return NodeKind::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return NodeKind::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(['+', '-', '.']) && !text.starts_with(|first: char| first.is_ascii_digit())
    {
        return NodeKind::Text(text.to_owned());
    }
    int(text)
        .map(NodeKind::Int)
        .or_else(|| float(text).map(NodeKind::Float))
        .unwrap_or_else(|| NodeKind::Text(text.to_owned()))
}

fn split_sign(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn int(text: &str) -> Option<i64> {
    let (sign, digits) = split_sign(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let plain = digits.replace('_', "");
    let value = if let Some(binary) = plain.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = plain.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if plain.contains(':') {
        sexagesimal(&plain)?
    } else if plain.len() > 1 && plain.starts_with('0') {
        i64::from_str_radix(&plain, 8).ok()?
    } else if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        plain.parse().ok()?
    } else {
        return None;
    };
    Some(sign * value)
}

/// `1:30` is ninety.
fn sexagesimal(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let first = parts.next()?;
    if first.starts_with('0') {
        return None;
    }
    let mut value: i64 = first.parse().ok()?;
    for part in parts {
        let digits = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        let part: i64 = part.parse().ok().filter(|part| digits && *part < 60)?;
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

fn float(text: &str) -> Option<f64> {
    let (sign, digits) = split_sign(text);
    match digits {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if sign < 0 {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            });
        }
        ".nan" | ".NaN" | ".NAN" if sign > 0 && digits == text => return Some(f64::NAN),
        _ => {}
    }
    let plain = digits.replace('_', "");
    // PyYAML wants a point, and a sign in the exponent: `1e3` is a text there.
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (plain.as_str(), None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-'])?;
        if digits.is_empty() || !all_digits(digits) {
            return None;
        }
    }
    let value: f64 = plain.parse().ok()?;
    Some(if sign < 0 { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_pyyaml_makes_of_them() {
        // Printed by yaml.safe_load of PyYAML 6.
        for (text, expected) in [
            ("yes", "Bool(true)"),
            ("Off", "Bool(false)"),
            ("y", "Text(\"y\")"),
            ("~", "Null"),
            ("12", "Int(12)"),
            ("-1_000", "Int(-1000)"),
            ("0x1F", "Int(31)"),
            ("010", "Int(8)"),
            ("08", "Text(\"08\")"),
            ("0o17", "Text(\"0o17\")"),
            ("1:30", "Int(90)"),
            ("1.5", "Float(1.5)"),
            ("1.", "Float(1.0)"),
            (".5", "Float(0.5)"),
            ("1e3", "Text(\"1e3\")"),
            ("1.0e+3", "Float(1000.0)"),
            ("-.inf", "Float(-inf)"),
            ("1.0.0", "Text(\"1.0.0\")"),
            ("gpt-4", "Text(\"gpt-4\")"),
        ] {
            assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
        }
    }
}
