//! Entities of Asia and the Pacific.

use std::ops::Range;

use super::super::{
    checksums::{digit, digits_in, verhoeff, weighted},
    entity::{Check, Entity, after, before, pattern, unchecked},
    this_year,
};

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "AU_ABN",
        patterns: &[
            pattern(r"\b\d{2}\s\d{3}\s\d{3}\s\d{3}\b", 0.1),
            pattern(r"\b\d{11}\b", 0.01),
        ],
        context: &["abn"],
        check: |text| {
            let digits = digits_in(text);
            // One is taken from the first digit, whose weight is 10; 89 keeps the sum positive.
            let sum = weighted(&digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) + 89 - 10;
            Check::valid_if(sum.is_multiple_of(89))
        },
    },
    Entity {
        name: "AU_ACN",
        patterns: &[
            pattern(r"\b\d{3}\s\d{3}\s\d{3}\b", 0.1),
            pattern(r"\b\d{9}\b", 0.01),
        ],
        context: &["acn"],
        check: |text| {
            Check::valid_if(
                weighted(&digits_in(text), &[8, 7, 6, 5, 4, 3, 2, 1, 1]).is_multiple_of(10),
            )
        },
    },
    Entity {
        name: "AU_MEDICARE",
        patterns: &[
            pattern(r"\b[2-6]\d{3}\s\d{5}\s\d\b", 0.1),
            pattern(r"\b[2-6]\d{9}\b", 0.01),
        ],
        context: &["medicare"],
        check: |text| {
            let digits = digits_in(text);
            let sum = weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
            Check::valid_if(digits.get(8) == Some(&sum))
        },
    },
    Entity {
        name: "AU_TFN",
        patterns: &[
            pattern(r"\b\d{3}\s\d{3}\s\d{3}\b", 0.1),
            pattern(r"\b\d{9}\b", 0.01),
        ],
        context: &["tfn"],
        check: |text| {
            Check::valid_if(
                weighted(&digits_in(text), &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11),
            )
        },
    },
    Entity {
        name: "IN_AADHAAR",
        patterns: &[
            pattern(r"\b[0-9]{12}\b", 0.01),
            pattern(r"\b[0-9]{4}[- :][0-9]{4}[- :][0-9]{4}\b", 0.01),
        ],
        context: &["aadhaar", "uidai"],
        check: |text| {
            let digits = digits_in(text);
            let same_backwards = digits.iter().eq(digits.iter().rev());
            Check::valid_if(digits.first() >= Some(&2) && verhoeff(&digits) && !same_backwards)
        },
    },
    Entity {
        name: "IN_GSTIN",
        patterns: &[
            pattern(r"\b(?:0[1-9]|[1-3][0-7])[a-z0-9]{11}z[a-z0-9]\b", 0.8),
            pattern(r"\b[0-9]{2}[a-z0-9]{11}z[a-z0-9]\b", 0.1),
        ],
        context: &["gstin", "gst"],
        check: |text| Check::valid_if(is_tax_number(text.as_bytes())),
    },
    Entity {
        name: "IN_PAN",
        patterns: &[
            pattern(r"\b[a-z]{3}[abcfghjlpt][a-z][0-9]{4}[a-z]\b", 0.5),
            pattern(r"\b[a-z]{5}[0-9]{4}[a-z]\b", 0.1),
            pattern(r"\b[\w@#$%^?~-]{10}\b", 0.01).stands(has_letter_and_four_digits),
        ],
        context: &["pan"],
        check: unchecked,
    },
    Entity {
        name: "IN_PASSPORT",
        patterns: &[pattern(r"\b[a-z][1-9]\d\s?\d{4}[1-9]\b", 0.1)],
        context: &["passport"],
        check: unchecked,
    },
    Entity {
        name: "IN_VEHICLE_REGISTRATION",
        patterns: &[
            pattern(r"\b(?:[a-z]{1,2}[0-9]{4}|i\d{5})\b", 0.01).stands(ends_in_no_zeros),
            pattern(r"\b[a-z]{3}\d{4}\b", 0.2).stands(ends_in_no_zeros),
            pattern(r"\b\d{1,3}(?:cd|cc|un)[1-9][0-9]{1,3}\b", 0.4),
            pattern(r"\b[a-z]{2}(?:\d[a-z]{1,3}|\d\d[a-z]{1,2})\d{4}\b", 0.5)
                .stands(ends_in_no_zeros),
            pattern(r"\b[2-9][1-9]bh\d{4}[a-hj-np-z]{2}\b", 0.85).stands(has_no_four_zeros),
            pattern(r"\b\d{2}[abcdefhkprx]\d{6}[a-z]\b", 0.85).stands(|text, found| {
                !text
                    .get(found.start..)
                    .is_some_and(|text| text.starts_with("00"))
            }),
        ],
        context: &["rto", "vehicle", "plate", "registration"],
        check: |text| {
            if is_indian_plate(text) {
                Check::Valid
            } else {
                Check::Unknown
            }
        },
    },
    Entity {
        name: "IN_VOTER",
        patterns: &[
            pattern(r"\b[a-z][abcdghjkmnprsy][a-z][0-9]{7}\b", 0.4),
            pattern(r"\b[a-z]{3}[0-9]{7}\b", 0.3),
        ],
        context: &["voter", "epic"],
        check: unchecked,
    },
    Entity {
        name: "KR_BRN",
        patterns: &[
            pattern(r"\d{3}-\d{2}-\d{5}", 0.1).stands(between_no_digits),
            pattern(r"\d{10}", 0.05).stands(between_no_digits),
        ],
        context: &["사업자", "brn"],
        check: |text| {
            let digits = digits_in(text);
            let ninth = digits.get(8).copied().unwrap_or(0) * 5;
            let sum = weighted(&digits, &[1, 3, 7, 1, 3, 7, 1, 3]) + ninth / 10 + ninth;
            Check::valid_if(digits.len() == 10 && digits.last() == Some(&((10 - sum % 10) % 10)))
        },
    },
    Entity {
        name: "KR_DRIVER_LICENSE",
        patterns: &[pattern(r"\d{2}[- ]?\d{2}[- ]?\d{6}[- ]?\d{2}", 0.05).stands(between_no_digits)],
        context: &["운전면허", "면허번호"],
        // The first two digits are the region's.
        check: |text| match digits_in(text).get(..2) {
            Some([1, 1..=9] | [2, 0..=6 | 8]) => Check::Valid,
            _ => Check::Invalid,
        },
    },
    Entity {
        name: "KR_FRN",
        patterns: &[pattern(
            r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-?[5-8]\d{6}",
            0.5,
        )
        .stands(between_no_digits)],
        context: &["외국인등록번호", "frn", "외국인번호"],
        check: |text| resident(text, 13),
    },
    Entity {
        name: "KR_PASSPORT",
        patterns: &[
            pattern(r"[msrod]\d{3}[a-z]\d{4}", 0.1).stands(is_passport_alone),
            pattern(r"[msrod]\d{8}", 0.05).stands(is_passport_alone),
        ],
        context: &["여권", "passport"],
        check: unchecked,
    },
    Entity {
        name: "KR_RRN",
        patterns: &[pattern(
            r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-?[1-4]\d{6}",
            0.5,
        )
        .stands(between_no_digits)],
        context: &["rrn"],
        check: |text| resident(text, 11),
    },
    Entity {
        name: "PH_PASSPORT",
        patterns: &[pattern(r"\b(?:[a-z]\d{7}[a-z]|[a-z]{2}\d{7})\b", 0.1)],
        context: &["passport", "pasaporte", "dfa"],
        check: unchecked,
    },
    Entity {
        name: "PH_TIN",
        patterns: &[
            pattern(r"\b\d{3}-\d{3}-\d{3}(?:-\d{3})?\b", 0.05),
            pattern(r"\b(?:\d{9}|\d{12})\b", 0.01),
        ],
        context: &["tin", "bir", "rdo"],
        check: |text| {
            let digits = digits_in(text);
            let sum = weighted(&digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            Check::unless(digits.get(8) != Some(&sum))
        },
    },
    Entity {
        name: "PH_UMID",
        patterns: &[
            pattern(r"\b\d{4}-\d{7}-\d\b", 0.5),
            pattern(r"\b\d{12}\b", 0.3),
        ],
        context: &["umid", "crn", "sss", "gsis", "philhealth"],
        check: unchecked,
    },
    Entity {
        name: "SG_NRIC_FIN",
        patterns: &[
            pattern(r"\b[a-z][0-9]{7}[a-z]\b", 0.3),
            pattern(r"\b[stfgm][0-9]{7}[a-z]\b", 0.5),
        ],
        context: &["fin", "nric"],
        check: unchecked,
    },
    Entity {
        name: "SG_UEN",
        patterns: &[pattern(
            r"\b(?:\d{8}[a-z]|\d{9}[a-z]|[tsr]\d{2}[a-z]{2}\d{4}[a-z])\b",
            0.3,
        )],
        context: &["uen", "acra"],
        check: |text| Check::valid_if(is_entity_number(&text.to_uppercase()).unwrap_or(false)),
    },
    Entity {
        name: "TH_TNIN",
        patterns: &[pattern(
            r"\b[1-9](?:[134]\d|2[0-7]|5[0-8]|[67][0-7]|[89][0-6])\d{10}\b",
            0.5,
        )],
        context: &["tnin", "เลขประจำตัวประชาชน", "เลขบัตรประชาชน", "รหัสปชช"],
        check: |text| {
            let digits = digits_in(text);
            let rest = weighted(&digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            let last = if rest <= 1 { 1 - rest } else { 11 - rest };
            Check::valid_if(digits.get(12) == Some(&last))
        },
    },
];

fn between_no_digits(text: &str, found: &Range<usize>) -> bool {
    let is_digit = |c| digit(c).is_some();
    !before(text, found.start).is_some_and(is_digit)
        && !after(text, found.end).is_some_and(is_digit)
}

fn is_passport_alone(text: &str, found: &Range<usize>) -> bool {
    !before(text, found.start).is_some_and(|c| c.is_ascii_alphanumeric())
        && !after(text, found.end).is_some_and(|c| c.is_ascii_digit())
}

fn has_letter_and_four_digits(text: &str, found: &Range<usize>) -> bool {
    let found = text.get(found.clone()).unwrap_or_default();
    let digits = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    found.contains(|c: char| c.is_ascii_alphabetic())
        && found
            .char_indices()
            .any(|(at, _)| found.get(at..at + 4).is_some_and(digits))
}

fn ends_in_no_zeros(text: &str, found: &Range<usize>) -> bool {
    !text
        .get(found.clone())
        .is_some_and(|found| found.ends_with("0000"))
}

fn has_no_four_zeros(text: &str, found: &Range<usize>) -> bool {
    !text
        .get(found.clone())
        .is_some_and(|found| found.contains("BH0000") || found.contains("bh0000"))
}

/// Korean resident and foreigner numbers; `base` is what the sum is taken from.
fn resident(text: &str, base: u32) -> Check {
    let digits = digits_in(text);
    let sum = weighted(&digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11;
    let region = match digits.get(7..9) {
        Some([tens, ones]) => tens * 10 + ones,
        _ => return Check::Invalid,
    };
    // Numbers given out since October 2020 carry no check digit.
    if region <= 95 && digits.get(12) == Some(&((base - sum) % 10)) {
        Check::Valid
    } else {
        Check::Unknown
    }
}

/// State code, the holder's PAN, the count of registrations, Z, and a check character.
fn is_tax_number(text: &[u8]) -> bool {
    let [s1, s2, pan @ .., _, z, _] = text else {
        return false;
    };
    let state = match (s1.is_ascii_digit(), s2.is_ascii_digit()) {
        (true, true) => (s1 - b'0') * 10 + (s2 - b'0'),
        _ => return false,
    };
    let [head @ .., d1, d2, d3, d4, last] = pan else {
        return false;
    };
    let letters = head
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    (1..=37).contains(&state)
        && head.len() == 5
        && letters >= 3
        && [d1, d2, d3, d4].iter().all(|byte| byte.is_ascii_digit())
        && last.is_ascii_alphabetic()
        && z.eq_ignore_ascii_case(&b'Z')
}

/// The highest district of each state and territory of India; a few skip numbers, which this does not follow.
const DISTRICTS: &[(&str, u32)] = &[
    ("AN", 1),
    ("AP", 40),
    ("AR", 22),
    ("AS", 34),
    ("BR", 56),
    ("CG", 30),
    ("CH", 4),
    ("DD", 3),
    ("DL", 13),
    ("DN", 9),
    ("GA", 12),
    ("GJ", 39),
    ("HP", 99),
    ("HR", 99),
    ("JH", 24),
    ("JK", 22),
    ("KA", 71),
    ("KL", 99),
    ("LA", 2),
    ("LD", 9),
    ("MH", 51),
    ("ML", 10),
    ("MN", 7),
    ("MP", 71),
    ("MZ", 8),
    ("NL", 10),
    ("OD", 35),
    ("OR", 31),
    ("PB", 99),
    ("PY", 5),
    ("RJ", 58),
    ("SK", 8),
    ("TN", 99),
    ("TR", 8),
    ("TS", 38),
    ("UK", 20),
    ("UP", 96),
    ("WB", 98),
];

/// Foreign missions whose code is above 80.
const MISSIONS: &[u32] = &[
    84, 85, 89, 93, 94, 95, 97, 98, 99, 102, 104, 105, 106, 109, 111, 112, 113, 117, 119, 120, 121,
    122, 123, 125, 126, 128, 133, 134, 135, 137, 141, 145, 147, 149, 152, 153, 155, 156, 157, 159,
    160,
];

/// A plate of a district that there is, or of a foreign mission.
fn is_indian_plate(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    if text.len() < 8 || !text.is_ascii() {
        return false;
    }
    for kind in ["CC", "CD", "UN"] {
        if let Some((mission, _)) = text.split_once(kind)
            && let Ok(mission) = mission.parse::<u32>()
            && ((1..=80).contains(&mission) || MISSIONS.contains(&mission))
        {
            return true;
        }
    }
    let (state, rest) = text.split_at(2);
    let digits: String = rest
        .chars()
        .take(2)
        .take_while(char::is_ascii_digit)
        .collect();
    let number = text
        .get(text.len() - 4..)
        .and_then(|number| number.parse::<u32>().ok());
    let highest = DISTRICTS.iter().find(|(known, _)| *known == state);
    match (digits.parse::<u32>(), highest, number) {
        (Ok(district), Some((_, highest)), Some(1..)) => (1..=*highest).contains(&district),
        _ => false,
    }
}

/// Unique entity numbers of Singapore: businesses (8 digits), companies (9), all others (with their kind).
fn is_entity_number(text: &str) -> Option<bool> {
    const KINDS: &str = "LP LL FC PF RF MQ MM NB CC CS MB FM GS DP CP NR CM CD MD HS VH CH MH CL XL CX HC RP TU TC FB FN PA PB SS MC SM GA GB";
    const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWX0123456789";
    let last = text.chars().next_back()?;
    let body = text.strip_suffix(last)?;
    let letter = |alphabet: &str, at: u32| alphabet.chars().nth(usize::try_from(at % 11).ok()?);
    let expected = if body.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let kind = body.get(3..5)?;
        if body.len() != 9 || !KINDS.split(' ').any(|known| known == kind) {
            return None;
        }
        let values: Option<Vec<u32>> = body
            .chars()
            .map(|c| u32::try_from(LETTERS.find(c)?).ok())
            .collect();
        let sum = weighted(&values?, &[4, 3, 5, 3, 10, 2, 2, 5, 7]);
        // Five less; eleven more keeps it positive.
        letter(LETTERS, sum + 6)?
    } else {
        let digits = digits_in(body);
        match digits.as_slice() {
            [a, b, c, d, _, _, _, _, _] => {
                if a * 1000 + b * 100 + c * 10 + d > this_year() {
                    return None;
                }
                letter(
                    "ZKCMDNERGWH",
                    weighted(&digits, &[10, 8, 6, 4, 9, 7, 5, 3, 1]),
                )?
            }
            [_, _, _, _, _, _, _, _] => {
                letter("XMKECAWLJDB", weighted(&digits, &[10, 4, 9, 3, 8, 2, 7, 1]))?
            }
            _ => return None,
        }
    };
    Some(expected == last)
}
