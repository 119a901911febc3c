//! Numbers by Python's rules: how they read, divide, compare and hash.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use super::{Value, ValueError};

/// The largest base and exponent of a power (the reference's own limit).
const MAX_POWER: f64 = 4_000_000.0;
/// The largest shift (the reference's own limit).
const MAX_SHIFT: i64 = 10_000;

fn out_of_range() -> ValueError {
    ValueError::overflow("the result does not fit into a whole number of 64 bits")
}

fn division_by_zero() -> ValueError {
    ValueError::zero_division("division by zero")
}

/// `repr(float)`: the shortest digits that read back as the same number.
pub(super) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// `float(text)`: what Python reads as a number, with spaces around it and underscores between digits.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = without_underscores(text.trim())?;
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if text.len() > unsigned.len() + 1 {
        return None;
    }
    let magnitude = match unsigned.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse().ok()?
        }
        _ => return None,
    };
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

/// `int(text)`: a whole number in decimal digits, with spaces around it and underscores between digits.
pub(super) fn parse_int(text: &str) -> Result<i64, ValueError> {
    let invalid =
        || ValueError::invalid(format!("{} is not a whole number", Value::str(text).repr()));
    let trimmed = without_underscores(text.trim()).ok_or_else(invalid)?;
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(&trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    trimmed.parse().map_err(|_| out_of_range())
}

/// `int(text, radix)`.
pub(crate) fn parse_int_radix(text: &str, radix: i64) -> Result<i64, ValueError> {
    let invalid =
        || ValueError::invalid(format!("{} is not a whole number", Value::str(text).repr()));
    let radix = u32::try_from(radix)
        .ok()
        .filter(|radix| (2..=36).contains(radix))
        .ok_or_else(invalid)?;
    i64::from_str_radix(text.trim(), radix).map_err(|_| invalid())
}

/// The text without its underscores, if each stands between two digits.
pub(crate) fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: Option<usize>| {
        index
            .and_then(|index| bytes.get(index))
            .is_some_and(u8::is_ascii_digit)
    };
    let placed = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(index, _)| digit(index.checked_sub(1)) && digit(index.checked_add(1)));
    placed.then(|| text.replace('_', ""))
}

/// Hashes equal numbers alike, whatever their types.
pub(super) fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Float(number) => match whole(*number) {
            Some(whole) => whole.hash(state),
            None => number.to_bits().hash(state),
        },
        _ => value.as_int().unwrap_or_default().hash(state),
    }
}

/// The number as a whole one of 64 bits, if it is one.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "in range by the guard")]
    let whole =
        (number.fract() == 0.0 && (-TWO_63..TWO_63).contains(&number)).then_some(number as i64);
    whole
}

/// Two to the power of 63, the first number beyond the range.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// Compares two numbers exactly; none where one is `NaN`, or where one is no number.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Float(left), right) => compare_mixed(right.as_int()?, *left).map(Ordering::reverse),
        (left, Value::Float(right)) => compare_mixed(left.as_int()?, *right),
        (left, right) => Some(left.as_int()?.cmp(&right.as_int()?)),
    }
}

fn compare_mixed(left: i64, right: f64) -> Option<Ordering> {
    if right.is_nan() {
        None
    } else if right >= TWO_63 {
        Some(Ordering::Less)
    } else if right < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        let floor = right.floor();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "in range by the tests above"
        )]
        let order = left.cmp(&(floor as i64));
        Some(if order == Ordering::Equal && right > floor {
            Ordering::Less
        } else {
            order
        })
    }
}

/// Two operands of an arithmetic operation.
pub(super) enum Pair {
    /// Both whole.
    Ints(i64, i64),
    /// At least one floating.
    Floats(f64, f64),
}

impl Pair {
    /// The operands as numbers of one type, if they are numbers.
    pub(super) fn new(left: &Value, right: &Value) -> Option<Self> {
        match (left.as_int(), right.as_int()) {
            (Some(left), Some(right)) => Some(Self::Ints(left, right)),
            _ => Some(Self::Floats(left.as_float()?, right.as_float()?)),
        }
    }

    pub(super) fn add(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(left, right) => int(left.checked_add(right)),
            Self::Floats(left, right) => Ok(Value::Float(left + right)),
        }
    }

    pub(super) fn subtract(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(left, right) => int(left.checked_sub(right)),
            Self::Floats(left, right) => Ok(Value::Float(left - right)),
        }
    }

    pub(super) fn multiply(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(left, right) => int(left.checked_mul(right)),
            Self::Floats(left, right) => Ok(Value::Float(left * right)),
        }
    }

    pub(super) fn divide(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(_, 0) => Err(division_by_zero()),
            Self::Ints(left, right) => Ok(Value::Float(divide_ints(left, right))),
            Self::Floats(_, 0.0) => Err(division_by_zero()),
            Self::Floats(left, right) => Ok(Value::Float(left / right)),
        }
    }

    pub(super) fn floor_divide(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(_, 0) => Err(division_by_zero()),
            Self::Ints(left, right) => {
                let quotient = left.checked_div(right).ok_or_else(out_of_range)?;
                let inexact = left.checked_rem(right).unwrap_or(0) != 0;
                int(quotient.checked_sub(i64::from(inexact && (left < 0) != (right < 0))))
            }
            Self::Floats(_, 0.0) => Err(division_by_zero()),
            Self::Floats(left, right) => Ok(Value::Float(floor_divide_floats(left, right))),
        }
    }

    pub(super) fn modulo(self) -> Result<Value, ValueError> {
        match self {
            Self::Ints(_, 0) => Err(division_by_zero()),
            Self::Ints(left, right) => {
                let remainder = left.checked_rem(right).unwrap_or(0);
                let other_side = remainder != 0 && (remainder < 0) != (right < 0);
                Ok(Value::Int(if other_side {
                    remainder + right
                } else {
                    remainder
                }))
            }
            Self::Floats(_, 0.0) => Err(division_by_zero()),
            Self::Floats(left, right) => Ok(Value::Float(modulo_floats(left, right))),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what Python does for a negative exponent"
    )]
    pub(super) fn power(self) -> Result<Value, ValueError> {
        let (base, exponent) = match self {
            Self::Ints(base, exponent) => (base as f64, exponent as f64),
            Self::Floats(base, exponent) => (base, exponent),
        };
        if base.abs() > MAX_POWER || exponent.abs() > MAX_POWER {
            return Err(ValueError::limit(
                "a power of numbers beyond 4000000 is not computed",
            ));
        }
        if base == 0.0 && exponent < 0.0 {
            return Err(ValueError::zero_division(
                "zero cannot be raised to a negative power",
            ));
        }
        if let Self::Ints(base, exponent @ 0..) = self {
            let exponent = u32::try_from(exponent).map_err(|_| out_of_range())?;
            return int(base.checked_pow(exponent));
        }
        let result = base.powf(exponent);
        if result.is_nan() && !base.is_nan() && !exponent.is_nan() {
            return Err(ValueError::invalid(
                "a negative number has no real power with a fraction as exponent",
            ));
        }
        if result.is_infinite() && base.is_finite() && exponent.is_finite() {
            return Err(ValueError::overflow(
                "the power is too large for a floating-point number",
            ));
        }
        Ok(Value::Float(result))
    }
}

fn int(number: Option<i64>) -> Result<Value, ValueError> {
    number.map(Value::Int).ok_or_else(out_of_range)
}

/// The quotient, rounded once.
#[expect(clippy::cast_precision_loss, reason = "exact within 53 bits, checked")]
fn divide_ints(left: i64, right: i64) -> f64 {
    const EXACT: u64 = 1 << 53;
    if left.unsigned_abs() <= EXACT && right.unsigned_abs() <= EXACT {
        return left as f64 / right as f64;
    }
    // Whole part and rest apart: rounding happens where they are added.
    let (left, right) = (i128::from(left), i128::from(right));
    let (whole, rest) = (left / right, left % right);
    whole as f64 + rest as f64 / right as f64
}

fn modulo_floats(left: f64, right: f64) -> f64 {
    let remainder = left % right;
    if remainder == 0.0 {
        0.0_f64.copysign(right)
    } else if (right < 0.0) == (remainder < 0.0) {
        remainder
    } else {
        remainder + right
    }
}

fn floor_divide_floats(left: f64, right: f64) -> f64 {
    let remainder = left % right;
    let mut quotient = (left - remainder) / right;
    if remainder != 0.0 && (right < 0.0) != (remainder < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0.0_f64.copysign(left / right);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    }
}

/// `left << right`.
pub(super) fn shift_left(left: i64, right: i64) -> Result<Value, ValueError> {
    let count = shift_count(right)?;
    if left == 0 {
        return Ok(Value::Int(0));
    }
    let shifted = u32::try_from(count)
        .ok()
        .and_then(|count| left.checked_shl(count))
        .filter(|shifted| count < 64 && shifted >> count == left);
    int(shifted)
}

/// `left >> right`.
pub(super) fn shift_right(left: i64, right: i64) -> Result<Value, ValueError> {
    let count = shift_count(right)?;
    Ok(Value::Int(left >> count.min(63)))
}

fn shift_count(count: i64) -> Result<i64, ValueError> {
    match count {
        0..=MAX_SHIFT => Ok(count),
        i64::MIN..0 => Err(ValueError::invalid("a shift cannot be negative")),
        _ => Err(ValueError::limit(
            "a shift by more than 10000 is not computed",
        )),
    }
}

/// `int(x)`.
pub(crate) fn to_int(value: &Value) -> Result<Value, ValueError> {
    match value.plain() {
        Value::Str(text) => parse_int(text).map(Value::Int),
        Value::Float(number) => truncate(*number).map(Value::Int),
        _ => value.as_int().map(Value::Int).ok_or_else(|| {
            ValueError::type_error(format!(
                "a value of type {} has no whole number",
                value.type_name()
            ))
        }),
    }
}

/// `float(x)`.
pub(crate) fn to_float(value: &Value) -> Result<Value, ValueError> {
    match value.plain() {
        Value::Str(text) => parse_float(text)
            .map(Value::Float)
            .ok_or_else(|| ValueError::invalid(format!("{} is not a number", value.repr()))),
        _ => value.as_float().map(Value::Float).ok_or_else(|| {
            ValueError::type_error(format!(
                "a value of type {} has no number",
                value.type_name()
            ))
        }),
    }
}

fn truncate(number: f64) -> Result<i64, ValueError> {
    if number.is_nan() {
        return Err(ValueError::invalid("NaN is not a whole number"));
    }
    whole(number.trunc()).ok_or_else(out_of_range)
}
