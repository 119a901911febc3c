//! International bank account numbers: their check digits, and the form that each country gives them.

use std::ops::Range;

use super::{
    checksums::mod_97,
    entity::{Check, after, before},
};

/// What the digits of an account number say.
pub(super) fn check(text: &str) -> Check {
    let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let upper = bare.to_ascii_uppercase();
    let (Some(head), Some(rest)) = (upper.get(..4), upper.get(4..)) else {
        return Check::Invalid;
    };
    if mod_97(rest.chars().chain(head.chars())) != Some(1) || !fits(&upper) {
        return Check::Invalid;
    }
    // One that is not written in capitals is less sure.
    if fits(&bare) {
        Check::Valid
    } else {
        Check::Unknown
    }
}

/// Where the number at `found` ends: its country tells how long it is. None where it stands in a longer word.
pub(super) fn end(text: &str, found: &Range<usize>) -> Option<usize> {
    if before(text, found.start).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let country = text.get(found.start..found.start + 2)?.to_ascii_uppercase();
    let form = form(&country)?;
    let length = 4 + counts(form).map(|(count, _)| count).sum::<usize>();
    let mut characters = text.get(found.clone())?.char_indices();
    let (at, _) = characters
        .by_ref()
        .filter(|(_, c)| c.is_ascii_alphanumeric())
        .nth(length - 1)?;
    let end = found.start + at + 1;
    let goes_on = after(text, end).is_some_and(|c| c.is_ascii_alphanumeric());
    (!goes_on).then_some(end)
}

fn form(country: &str) -> Option<&'static str> {
    let at = FORMS
        .binary_search_by_key(&country, |(country, _)| country)
        .ok()?;
    FORMS.get(at).map(|(_, form)| *form)
}

/// The parts of a form: how many characters, of what kind.
fn counts(form: &str) -> impl Iterator<Item = (usize, char)> {
    form.split_inclusive(['n', 'a', 'c']).filter_map(|part| {
        let kind = part.chars().next_back()?;
        Some((part.strip_suffix(kind)?.parse().ok()?, kind))
    })
}

/// Whether the account part has the form of its country.
fn fits(iban: &str) -> bool {
    let Some(form) = iban.get(..2).and_then(form) else {
        return false;
    };
    let mut rest = iban.get(4..).unwrap_or_default().chars();
    for (count, kind) in counts(form) {
        for _ in 0..count {
            let fits = rest.next().is_some_and(|found| match kind {
                'n' => found.is_ascii_digit(),
                'a' => found.is_ascii_uppercase(),
                _ => found.is_ascii_alphanumeric(),
            });
            if !fits {
                return false;
            }
        }
    }
    rest.next().is_none()
}

/// The account part by country, as the registry of ISO 13616 writes it: counts of digits (n), capitals (a) and either (c).
const FORMS: &[(&str, &str)] = &[
    ("AD", "8n12c"),
    ("AE", "19n"),
    ("AL", "8n16c"),
    ("AT", "16n"),
    ("AZ", "4c20n"),
    ("BA", "16n"),
    ("BE", "12n"),
    ("BG", "4a6n8c"),
    ("BH", "4a14c"),
    ("BR", "23n1a1c"),
    ("BY", "4c4n16c"),
    ("CH", "5n12c"),
    ("CR", "18n"),
    ("CY", "8n16c"),
    ("CZ", "20n"),
    ("DE", "18n"),
    ("DK", "14n"),
    ("DO", "4a20n"),
    ("EE", "16n"),
    ("EG", "25n"),
    ("ES", "20n"),
    ("FI", "14n"),
    ("FO", "14n"),
    ("FR", "10n11c2n"),
    ("GB", "4a14n"),
    ("GE", "2c16n"),
    ("GI", "4a15c"),
    ("GL", "14n"),
    ("GR", "7n16c"),
    ("GT", "24c"),
    ("HR", "17n"),
    ("HU", "24n"),
    ("IE", "4c14n"),
    ("IL", "19n"),
    ("IQ", "4a15n"),
    ("IS", "22n"),
    ("IT", "1a10n12c"),
    ("JO", "4a22n"),
    ("KW", "4a22c"),
    ("KZ", "3n13c"),
    ("LB", "4n20c"),
    ("LC", "4a24c"),
    ("LI", "5n12c"),
    ("LT", "16n"),
    ("LU", "3n13c"),
    ("LV", "4a13c"),
    ("LY", "21n"),
    ("MC", "10n11c2n"),
    ("MD", "20c"),
    ("ME", "18n"),
    ("MK", "3n10c2n"),
    ("MR", "23n"),
    ("MT", "4a5n18c"),
    ("MU", "4a19n1a"),
    ("NL", "4a10n"),
    ("NO", "11n"),
    ("PK", "4c16n"),
    ("PL", "24n"),
    ("PS", "4c17n"),
    ("PT", "17n"),
    ("QA", "4a17c"),
    ("RO", "4a16c"),
    ("RS", "18n"),
    ("SA", "2n18c"),
    ("SC", "4a20n3a"),
    ("SE", "20n"),
    ("SI", "15n"),
    ("SK", "20n"),
    ("SM", "1a10n12c"),
    ("TL", "19n"),
    ("TN", "20n"),
    ("TR", "5n17c"),
    ("UA", "6n19c"),
    ("VA", "18n"),
    ("VG", "4c16n"),
    ("XK", "16n"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_sorted() {
        assert!(FORMS.is_sorted_by(|left, right| left.0 < right.0));
    }

    #[test]
    fn numbers() {
        assert_eq!(check("GB82 WEST 1234 5698 7654 32"), Check::Valid);
        assert_eq!(check("DE89-3704-0044-0532-0130-00"), Check::Valid);
        assert_eq!(check("gb82 west 1234 5698 7654 32"), Check::Unknown);
        assert_eq!(check("GB82 WEST 1234 5698 7654 33"), Check::Invalid);
        assert_eq!(check("ZZ82 WEST 1234 5698 7654 32"), Check::Invalid);
        assert_eq!(check("é"), Check::Invalid);
    }
}
