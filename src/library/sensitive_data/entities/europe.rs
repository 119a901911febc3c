//! Entities of Europe and Turkey.

use std::ops::Range;

use super::super::{
    checksums::{digit, digits_in, is_date, luhn, weighted},
    entity::{Check, Entity, before, pattern, unchecked},
};

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "ES_NIE",
        patterns: &[pattern(r"\b[x-z]?[0-9]?[0-9]{7}-?[a-z]\b", 0.5)],
        context: &["nie"],
        check: |text| Check::valid_if(is_foreigner_of_spain(&bare(text)).unwrap_or(false)),
    },
    Entity {
        name: "ES_NIF",
        patterns: &[pattern(r"\b[0-9]?[0-9]{7}-?[a-z]\b", 0.5)],
        context: &["dni", "nif", "identificación"],
        check: |text| {
            let text = bare(text);
            Check::valid_if(text.chars().next_back() == spanish_letter(&digits_in(&text)))
        },
    },
    Entity {
        name: "ES_PASSPORT",
        patterns: &[pattern(r"\b[a-z]{3}[0-9]{6}\b", 0.05)],
        context: &["pasaporte", "passport"],
        check: unchecked,
    },
    Entity {
        name: "FI_PERSONAL_IDENTITY_CODE",
        patterns: &[
            pattern(r"\b\d{6}[-+a-fu-y]\d{3}[0-9a-fhj-npr-y]\b", 0.5),
            pattern(r"\d{6}[-+a-fu-y]\d{3}[0-9a-fhj-npr-y]", 0.1),
        ],
        context: &["hetu", "henkilötunnus", "personbeteckningen"],
        check: |text| Check::valid_if(is_finnish(&text.to_uppercase()).unwrap_or(false)),
    },
    Entity {
        name: "IT_DRIVER_LICENSE",
        patterns: &[pattern(r"\b(?:[a-z]{2}\d{7}[a-z]|u1[b-hj-npr-z0-9]{7}[a-z])\b", 0.2)],
        context: &["patente", "licenza"],
        check: unchecked,
    },
    Entity {
        name: "IT_FISCAL_CODE",
        // Digits may be letters where two people's codes would be the same: L to V for 0 to 9.
        patterns: &[pattern(
            concat!(
                r"(?:[a-z][aeiou][aeioux]|[aeiou]x{2}|[b-df-hj-np-tv-z]{2}[a-z]){2}",
                r"[\dlmnp-v]{2}[a-ehlmpr-t][\dlmnp-v]{2}",
                r"(?:[a-mz][1-9mnp-v][\dlmnp-v]{2}|[a-m][0l](?:[1-9mnp-v][\dlmnp-v]|[0l][1-9mnp-v]))[a-z]"
            ),
            0.3,
        )
        .stands(has_birthday)],
        context: &["cf"],
        check: |text| if is_italian(&text.to_uppercase()).unwrap_or(false) { Check::Valid } else { Check::Unknown },
    },
    Entity {
        name: "IT_IDENTITY_CARD",
        patterns: &[
            pattern(r"\b[a-z]{2}\s?\d{7}\b", 0.01),
            pattern(r"\b(?:\d{7}[a-z]{2}|[a-z]{2}\d{5}[a-z]{2})\b", 0.01),
        ],
        context: &["carta", "identità", "elettronica", "cie", "documento", "riconoscimento", "espatrio"],
        check: unchecked,
    },
    Entity {
        name: "IT_PASSPORT",
        patterns: &[pattern(r"\b[a-z]{2}\d{7}\b", 0.01)],
        context: &["passaporto", "elettronico", "italiano", "viaggio", "viaggiare", "estero", "documento", "dogana"],
        check: unchecked,
    },
    Entity {
        name: "IT_VAT_CODE",
        patterns: &[pattern(r"\b(?:[0-9][ _]?){11}\b", 0.1)],
        context: &["piva", "pi"],
        check: |text| {
            let digits = digits_in(text);
            Check::valid_if(digits.iter().any(|digit| *digit != 0) && luhn(&digits))
        },
    },
    Entity {
        name: "PL_PESEL",
        // Months run to 92: the hundreds of the year are in their tens.
        patterns: &[pattern(
            r"[0-9]{2}(?:[02468][1-9]|[13579][0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{5}",
            0.4,
        )],
        context: &["pesel"],
        check: |text| Check::valid_if(weighted(&digits_in(text), &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)),
    },
    Entity {
        name: "SE_ORGANISATIONSNUMMER",
        patterns: &[
            pattern(r"\b\d{6}-?\d{4}\b", 0.6),
            pattern(r"\d{6}-?\d{4}", 0.2),
        ],
        context: &["organisationsnummer", "orgnr", "företagsnummer"],
        check: |text| {
            let digits = digits_in(text);
            Check::valid_if(digits.get(2) >= Some(&2) && luhn(&digits))
        },
    },
    Entity {
        name: "SE_PERSONNUMMER",
        patterns: &[
            pattern(r"\b\d{6,8}[-+]?\d{4}\b", 0.5),
            pattern(r"\d{6,8}[-+]?\d{4}", 0.1),
        ],
        context: &["personnummer", "ssn", "samordningsnummer"],
        check: |text| Check::valid_if(is_swedish(&digits_in(text))),
    },
    Entity {
        name: "TR_LICENSE_PLATE",
        patterns: &[
            pattern(r"\b(?:0[1-9]|[1-7][0-9]|8[01])\s?[a-pr-vyz]{1,3}\s?\d{2,4}\b", 0.3),
            pattern(r"\b(?:0[1-9]|[1-7][0-9]|8[01])-[a-pr-vyz]{1,3}-\d{2,4}\b", 0.3),
        ],
        context: &["plaka", "plate", "kayıt"],
        // The province is in the pattern.
        check: |_| Check::Valid,
    },
    Entity {
        name: "TR_NATIONAL_ID",
        patterns: &[pattern(r"\b[1-9][0-9]{10}\b", 0.3)],
        context: &["tckn"],
        check: |text| {
            let digits = digits_in(text);
            let odd = weighted(&digits, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
            let even = weighted(&digits, &[0, 1, 0, 1, 0, 1, 0, 1]);
            // 40 keeps the difference positive.
            let tenth = (odd * 7 + 40 - even) % 10;
            let last = digits.iter().take(10).sum::<u32>() % 10;
            Check::valid_if(digits.get(9..) == Some(&[tenth, last]))
        },
    },
    Entity {
        name: "UK_DRIVING_LICENCE",
        patterns: &[pattern(
            r"\b[a-z]{1,5}9{0,4}[0-9](?:0[1-9]|1[0-2]|5[1-9]|6[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9][a-z9]{2}[a-z0-9][a-z]{2}\b",
            0.5,
        )
        // The name fills five places, with nines.
        .stands(|_, found| found.len() == 16)],
        context: &["dvla"],
        check: unchecked,
    },
    Entity {
        name: "UK_NHS",
        patterns: &[pattern(r"\b[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{4}\b", 0.5)],
        context: &["nhs"],
        check: |text| Check::valid_if(weighted(&digits_in(text), &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)),
    },
    Entity {
        name: "UK_NINO",
        patterns: &[pattern(
            r"\b[a-ceghj-pr-tw-z][a-ceghj-npr-tw-z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[a-d]\b",
            0.5,
        )
        .stands(has_given_prefix)],
        context: &["nino"],
        check: unchecked,
    },
    Entity {
        name: "UK_PASSPORT",
        patterns: &[pattern(r"\b[a-z]{2}\d{7}\b", 0.1)],
        context: &["passport", "hmpo"],
        check: unchecked,
    },
    Entity {
        name: "UK_POSTCODE",
        patterns: &[pattern(
            concat!(
                r"\b(?:gir\s?0aa|[a-pr-uwyz](?:[0-9][a-hjkpstuw]?|[0-9]{2}|[a-hk-y][0-9][abehmnprvwxy]?|[a-hk-y][0-9]{2})",
                r"\s?[0-9][abd-hjlnp-uw-z]{2})\b"
            ),
            0.1,
        )],
        context: &["postcode", "zip", "address", "delivery", "mailing", "shipping", "correspondence"],
        check: unchecked,
    },
    Entity {
        name: "UK_VEHICLE_REGISTRATION",
        patterns: &[
            pattern(r"\b[a-hj-pr-y]{2}(?:0[1-9]|[1-7][0-9])[- ]?[a-hj-pr-z]{3}\b", 0.3),
            pattern(r"\b[a-hj-npr-tv-y]\d{1,3}[- ]?[a-hj-pr-y][a-hj-pr-z]{2}\b", 0.2),
            pattern(r"\b[a-hj-pr-z]{3}[- ]?\d{1,3}[- ]?[a-hj-npr-tv-y]\b", 0.15),
        ],
        context: &["vehicle", "registration", "reg", "vrn", "dvla", "v5c", "logbook", "mot", "car"],
        check: british_plate,
    },
];

/// In capitals, without separators.
fn bare(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .collect::<String>()
        .to_uppercase()
}

fn spanish_letter(digits: &[u32]) -> Option<char> {
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| number * 10 + u64::from(*digit));
    "TRWAGMYFPDXBNJZSQVHLCKE"
        .chars()
        .nth(usize::try_from(number % 23).ok()?)
}

fn is_foreigner_of_spain(text: &str) -> Option<bool> {
    let first = u32::try_from("XYZ".find(text.chars().next()?)?).ok()?;
    let mut digits = vec![first];
    digits.extend(digits_in(text));
    Some((8..=9).contains(&text.len()) && text.chars().next_back() == spanish_letter(&digits))
}

/// Date of birth, a sign for the century, a number, and a character that checks all.
fn is_finnish(text: &str) -> Option<bool> {
    let digits = digits_in(text.get(..6)?);
    let [d1, d2, m1, m2, y1, y2] = digits.as_slice() else {
        return None;
    };
    let century = match text.chars().nth(6)? {
        '+' => 1800,
        '-' | 'U'..='Y' => 1900,
        _ => 2000,
    };
    let date = is_date(century + y1 * 10 + y2, m1 * 10 + m2, d1 * 10 + d2);
    let number = digits.iter().copied().chain(digits_in(text.get(7..10)?));
    let number = number.fold(0, |number, digit| number * 10 + digit);
    let check = "0123456789ABCDEFHJKLMNPRSTUVWXY"
        .chars()
        .nth(usize::try_from(number % 31).ok()?);
    Some(date && text.chars().next_back() == check)
}

/// Month and day of an Italian fiscal code are of the calendar.
fn has_birthday(text: &str, found: &Range<usize>) -> bool {
    let code = text.get(found.clone()).unwrap_or_default().to_uppercase();
    let number = |range: Range<usize>| {
        let text = code.get(range)?;
        let mut values = text.chars().map(|c| digit(c).or_else(|| replaced_digit(c)));
        values.try_fold(0, |number, value| Some(number * 10 + value?))
    };
    let month = code.get(8..9).and_then(|month| "ABCDEHLMPRST".find(month));
    let (Some(year), Some(month), Some(day)) = (number(6..8), month, number(9..11)) else {
        return false;
    };
    // Women's days are 40 more. The century is not told: 2000 is the only one whose leap years are all.
    let month = u32::try_from(month + 1).unwrap_or_default();
    is_date(2000 + year, month, if day > 40 { day - 40 } else { day })
}

fn replaced_digit(c: char) -> Option<u32> {
    u32::try_from("LMNPQRSTUV".find(c)?).ok()
}

fn is_italian(code: &str) -> Option<bool> {
    // What a letter counts on an odd place; a digit counts as the letter of its value.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let mut sum = 0;
    let last = code.chars().next_back()?;
    for (place, c) in code.strip_suffix(last)?.chars().enumerate() {
        let value = digit(c).or_else(|| u32::from(c).checked_sub(u32::from('A')))?;
        sum += if place % 2 == 0 {
            *ODD.get(usize::try_from(value).ok()?)?
        } else {
            value
        };
    }
    Some(u32::from(last).checked_sub(u32::from('A')) == Some(sum % 26))
}

/// The last ten digits are a date of birth (its day 60 more for those who are no residents) and a number with a check digit.
fn is_swedish(digits: &[u32]) -> bool {
    let number = digits
        .len()
        .checked_sub(10)
        .and_then(|from| digits.get(from..));
    let Some(number @ [_, _, m1, m2, d1, d2, ..]) = number else {
        return false;
    };
    let day = match d1 * 10 + d2 {
        day @ 61.. => day - 60,
        day => day,
    };
    (1..=12).contains(&(m1 * 10 + m2)) && (1..=31).contains(&day) && luhn(number)
}

fn has_given_prefix(text: &str, found: &Range<usize>) -> bool {
    let prefix = text
        .get(found.start..found.start + 2)
        .unwrap_or_default()
        .to_ascii_uppercase();
    !["BG", "GB", "NK", "KN", "NT", "TN", "ZZ"].contains(&prefix.as_str())
}

/// Plates of today tell their half year.
fn british_plate(text: &str) -> Check {
    let text = bare(text);
    let letters = text
        .get(..2)
        .is_some_and(|letters| letters.chars().all(char::is_alphabetic));
    match text.get(2..4).map(str::parse::<u32>) {
        Some(Ok(half)) if letters && text.len() == 7 => {
            Check::valid_if((2..=29).contains(&half) || (51..=79).contains(&half))
        }
        _ => Check::Unknown,
    }
}

/// Whether nothing that a German plate could begin with stands before it.
pub(super) fn is_plate_alone(text: &str, found: &Range<usize>) -> bool {
    !before(text, found.start).is_some_and(|c| c == '-' || c == '_' || c.is_alphanumeric())
}
