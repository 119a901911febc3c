//! The arithmetic of check digits.

use std::sync::LazyLock;

/// The value of a decimal digit of any script; none where `c` is no digit.
pub(super) fn digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let after = DIGITS.partition_point(|(start, _)| *start <= c);
    let (start, end) = DIGITS.get(after.checked_sub(1)?)?;
    // Unicode keeps the ten digits of a script together, so that the place in its range is the value.
    (c <= *end).then(|| (u32::from(c) - u32::from(*start)) % 10)
}

/// Whether `c` is a decimal digit of any script.
pub(super) fn is_digit(c: char) -> bool {
    digit(c).is_some()
}

static DIGITS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let Ok(hir) = regex_syntax::parse(r"\d") else {
        return vec![('0', '9')];
    };
    match hir.kind() {
        regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        _ => vec![('0', '9')],
    }
});

/// The digits in `text`, all else left out.
pub(super) fn digits_in(text: &str) -> Vec<u32> {
    text.chars().filter_map(digit).collect()
}

/// The sum of `digits`, each times its weight.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| d * w).sum()
}

/// Luhn's sum, the last digit being the check digit.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Verhoeff's check over the dihedral group of the pentagon.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    let mut check = 0;
    for (place, digit) in digits.iter().rev().enumerate() {
        check = dihedral(check, permuted(*digit, place % 8));
    }
    !digits.is_empty() && check == 0
}

/// The product in the group of the pentagon's turns (0 to 4) and flips (5 to 9).
fn dihedral(left: u32, right: u32) -> u32 {
    match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => (left + right - 5) % 5 + 5,
        (false, true) => (left - 5 + 5 - right) % 5 + 5,
        (false, false) => (left + 5 - right) % 5,
    }
}

fn permuted(digit: u32, times: usize) -> u32 {
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..times).fold(digit, |digit, _| {
        STEP.get(digit as usize).copied().unwrap_or(digit)
    })
}

/// ISO 7064 mod 11,10: the check digit of `digits`.
pub(super) fn mod_11_10(digits: &[u32]) -> u32 {
    let product = digits.iter().fold(10, |product, digit| {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    (11 - product) % 10
}

/// The remainder by 97 of a text of digits and letters, letters counting 10 to 35; none where there is something else.
pub(super) fn mod_97(text: impl Iterator<Item = char>) -> Option<u32> {
    let mut rest = 0;
    for c in text {
        let value = c.to_digit(36)?;
        rest = if value < 10 {
            rest * 10 + value
        } else {
            rest * 100 + value
        } % 97;
    }
    Some(rest)
}

/// Whether the date is one of the Gregorian calendar.
pub(super) fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<u32> {
        digits_in(text)
    }

    #[test]
    fn check_digits() {
        assert!(luhn(&of("4012888888881881")));
        assert!(!luhn(&of("4012888888881882")));
        assert!(!luhn(&[]));
        assert!(verhoeff(&of("2363")));
        assert!(!verhoeff(&of("2364")));
        assert_eq!(mod_11_10(&of("4703689281")), 6);
        assert_eq!(mod_97("WEST12345698765432GB82".chars()), Some(1));
        assert_eq!(mod_97("é".chars()), None);
        assert!(is_date(2000, 2, 29) && !is_date(1900, 2, 29) && !is_date(2001, 13, 1));
    }

    #[test]
    fn digits_of_every_script() {
        assert_eq!(of("４١२9x"), [4, 1, 2, 9]);
        assert_eq!(digit('²'), None);
        let whole = |(start, end): &(char, char)| {
            (u32::from(*end) - u32::from(*start) + 1).is_multiple_of(10)
        };
        assert!(DIGITS.len() > 50 && DIGITS.iter().all(whole));
    }
}
