//! Entities of the United States and Canada.

use std::ops::Range;

use super::super::{
    checksums::{digits_in, luhn, weighted},
    entity::{Check, Entity, Pattern, pattern, unchecked},
};

/// What may stand between a label and its number.
macro_rules! labelled {
    ($label:literal, $number:literal) => {
        concat!(
            r"\b(?:",
            $label,
            r")(?:\s{0,8}(?:#|no\.?|number|id)\s{0,8}:?\s{0,8}|\s{0,8}:\s{0,8}|\s{1,8})(?P<number>",
            $number,
            r")\b"
        )
    };
}

/// The first two digits of an employer's number.
macro_rules! employer {
    () => {
        r"(?:0[1-6]|1[0-6]|2[0-7]|3\d|4[0-8]|5\d|6[0-8]|7[1-7]|8[0-8]|9[0-589])-\d{7}"
    };
}

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "ABA_ROUTING_NUMBER",
        patterns: &[
            pattern(r"\b[0-36-8]\d{8}\b", 0.05),
            pattern(r"\b[0-36-8]\d{3}-\d{4}-\d\b", 0.3),
        ],
        context: &["aba", "routing", "association"],
        check: |text| {
            Check::valid_if(
                weighted(&digits_in(text), &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10),
            )
        },
    },
    Entity {
        name: "CA_POSTAL_CODE",
        patterns: &[
            pattern(
                r"\b[abceghj-nprstvxy]\d[abceghj-nprstv-z] \d[abceghj-nprstv-z]\d\b",
                0.3,
            ),
            pattern(
                r"\b[abceghj-nprstvxy]\d[abceghj-nprstv-z]\d[abceghj-nprstv-z]\d\b",
                0.1,
            ),
        ],
        context: &["postcode", "zip", "canada", "ontario", "quebec", "alberta"],
        check: unchecked,
    },
    Entity {
        name: "CA_SIN",
        patterns: &[
            pattern(r"\b[1-79]\d{8}\b", 0.05),
            pattern(r"\b[1-79]\d\d(?:-\d{3}-| \d{3} )\d{3}\b", 0.5),
        ],
        context: &["sin", "canada", "nas"],
        check: |text| Check::unless(!luhn(&digits_in(text))),
    },
    Entity {
        name: "MEDICAL_LICENSE",
        patterns: &[pattern(r"[abcdefghjklmprstux][a-z9]\d{7}", 0.4)],
        context: &["medical", "certificate", "dea"],
        check: |text| Check::valid_if(is_dea_number(text)),
    },
    Entity {
        name: "US_BANK_NUMBER",
        patterns: &[pattern(r"\b[0-9]{8,17}\b", 0.05)],
        context: &["check", "account", "acct", "bank", "save", "debit"],
        check: unchecked,
    },
    Entity {
        name: "US_CLAIM_NUMBER",
        patterns: &[
            pattern(labelled!("claim", r"(?:clm-?)?\d{6,15}"), 0.35),
            pattern(r"\bclm-?\d{6,15}\b", 0.1),
        ],
        context: &["claim", "billing"],
        check: unchecked,
    },
    Entity {
        name: "US_DRIVER_LICENSE",
        patterns: &[
            pattern(
                concat!(
                    r"\b(?:[a-z][0-9]{1,14}|[a-z][0-9]{18}|[a-z]{2}[0-9]{3,7}|[a-z][0-9]{6}r|[0-9]{7,9}[a-z]|",
                    r"[a-z]{2}[0-9]{6}[a-z]|[0-9]{8}[a-z]{2}|[0-9]{3}[a-z]{2}[0-9]{4}|[0-9]{2}[a-z]{3}[0-9]{5,6}|",
                    r"[a-z][0-9][a-z][0-9][a-z])\b"
                ),
                0.3,
            ),
            pattern(r"\b(?:[0-9]{6,14}|[0-9]{16})\b", 0.01),
        ],
        context: &[
            "driver",
            "license",
            "permit",
            "lic",
            "identification",
            "dls",
            "cdls",
            "driving",
        ],
        check: unchecked,
    },
    Entity {
        name: "US_HEALTH_INSURANCE_MEMBER_ID",
        patterns: &[pattern(r"\b[a-z]{1,5}-?[a-z0-9]{5,14}\b", 0.1).stands(has_letter_and_digit)],
        context: &["member", "subscriber", "insurance", "policy"],
        check: unchecked,
    },
    Entity {
        name: "US_ITIN",
        patterns: &[
            pattern(
                r"\b9\d\d(?:[- ](?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}|(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[- ]\d{4})\b",
                0.05,
            ),
            pattern(r"\b9\d\d(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}\b", 0.3),
            pattern(
                r"\b9\d\d[- ](?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[- ]\d{4}\b",
                0.5,
            ),
        ],
        context: &[
            "individual",
            "taxpayer",
            "itin",
            "tax",
            "payer",
            "taxid",
            "tin",
        ],
        check: unchecked,
    },
    Entity {
        name: "US_MBI",
        patterns: &[
            pattern(
                r"\b[0-9][ac-hj-kmnp-rt-y][0-9ac-hj-kmnp-rt-y][0-9][ac-hj-kmnp-rt-y][0-9ac-hj-kmnp-rt-y][0-9][ac-hj-kmnp-rt-y]{2}[0-9]{2}\b",
                0.3,
            ),
            pattern(
                r"\b[0-9][ac-hj-kmnp-rt-y][0-9ac-hj-kmnp-rt-y][0-9]-[ac-hj-kmnp-rt-y][0-9ac-hj-kmnp-rt-y][0-9]-[ac-hj-kmnp-rt-y]{2}[0-9]{2}\b",
                0.5,
            ),
        ],
        context: &[
            "medicare",
            "mbi",
            "beneficiary",
            "cms",
            "medicaid",
            "hic",
            "hicn",
        ],
        check: unchecked,
    },
    Entity {
        name: "US_NPI",
        patterns: &[
            pattern(r"\b[12]\d{9}\b", 0.1),
            pattern(r"\b[12]\d{3}[ -]\d{3}[ -]\d{3}\b", 0.4),
        ],
        context: &["npi", "provider", "taxonomy"],
        check: |text| Check::valid_if(is_provider_number(&digits_in(text))),
    },
    Entity {
        name: "US_PASSPORT",
        patterns: &[
            pattern(r"\b[0-9]{9}\b", 0.05),
            pattern(r"\b[a-z][0-9]{8}\b", 0.1),
        ],
        context: &["us", "united", "states", "passport", "travel", "document"],
        check: unchecked,
    },
    Entity {
        name: "US_PRESCRIPTION_NUMBER",
        patterns: &[
            pattern(labelled!("rx", r"(?:rx-?)?\d{6,12}"), 0.6),
            pattern(labelled!("prescription", r"(?:rx-?)?\d{6,12}"), 0.35),
            pattern(r"\brx-?\d{6,12}\b", 0.1),
        ],
        context: &["prescription", "pharmacy", "medication"],
        check: unchecked,
    },
    Entity {
        name: "US_PRIOR_AUTHORIZATION_NUMBER",
        patterns: &[
            pattern(
                labelled!(
                    r"prior\s{1,8}auth|preauthorization|pre-auth|authorization",
                    r"(?:pa-?)?\d{6,12}"
                ),
                0.35,
            ),
            pattern(r"\bpa-?\d{6,12}\b", 0.1),
        ],
        context: &["authorization", "auth", "preauthorization", "approval"],
        check: unchecked,
    },
    Entity {
        name: "US_PROVIDER_TAX_ID",
        patterns: &[
            PROVIDER_TAX_ID,
            pattern(concat!(r"\b", employer!(), r"\b"), 0.1),
        ],
        context: &["tax", "tin", "ein", "billing"],
        check: unchecked,
    },
    Entity {
        name: "US_REFERRAL_NUMBER",
        patterns: &[
            pattern(labelled!("referral", r"(?:(?:ref|inf)-?)?\d{6,12}"), 0.35),
            pattern(r"\b(?:ref|inf)-?\d{6,12}\b", 0.1),
        ],
        context: &["referral", "infusion", "specialty", "referring"],
        check: unchecked,
    },
    Entity {
        name: "US_SSN",
        patterns: &[
            pattern(
                r"\b(?:[0-9]{5}-[0-9]{4}|[0-9]{3}-[0-9]{6}|[0-9]{9})\b",
                0.05,
            ),
            pattern(r"\b[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}\b", 0.5),
        ],
        context: &["social", "security", "ssn", "ssid"],
        check: social_security,
    },
];

const PROVIDER_TAX_ID: Pattern = pattern(
    concat!(
        r"\b(?:(?:provider|provider\s{1,8}organization)\s{1,8}(?:tax\s{0,8}(?:id|number|identification\s{1,8}number)|tin|ein)|",
        r"billing\s{1,8}provider)(?:\s{0,8}(?:#|no\.?|number|id)\s{0,8}:?\s{0,8}|\s{0,8}:\s{0,8}|\s{1,8})(?P<number>",
        employer!(),
        r")\b"
    ),
    0.35,
);

/// The check digit of a number of the Drug Enforcement Administration: its last one.
fn is_dea_number(text: &str) -> bool {
    let digits = digits_in(text.get(2..).unwrap_or_default());
    let Some((check, [a, b, c, d, e, f])) = digits
        .split_last()
        .and_then(|(check, rest)| Some((check, <&[u32; 6]>::try_from(rest).ok()?)))
    else {
        return false;
    };
    (a + c + e + 2 * (b + d + f)) % 10 == *check
}

fn has_letter_and_digit(text: &str, found: &Range<usize>) -> bool {
    let found = text.get(found.clone()).unwrap_or_default();
    (6..=20).contains(&found.len())
        && found.contains(|c: char| c.is_ascii_alphabetic())
        && found.contains(|c: char| c.is_ascii_digit())
}

/// The number is a card number of the health industry (80840), and not one digit over and over.
fn is_provider_number(digits: &[u32]) -> bool {
    let card: Vec<u32> = [8, 0, 8, 4, 0].iter().chain(digits).copied().collect();
    let body = digits.split_last().map(|(_, body)| body);
    let varied = body.is_some_and(|body| body.iter().any(|digit| Some(digit) != body.first()));
    varied && luhn(&card)
}

/// Numbers that are never given out.
fn social_security(text: &str) -> Check {
    let separators =
        |text: &str| -> Vec<char> { text.chars().filter(|c| "- .".contains(*c)).collect() };
    let mixed = separators(text)
        .windows(2)
        .any(|pair| pair.first() != pair.last());
    let digits = digits_in(text);
    let same = digits.iter().all(|digit| Some(digit) == digits.first());
    let wrong = match digits.as_slice() {
        [a, b, c, d, e, rest @ ..] => {
            [*d, *e] == [0, 0]
                || rest.iter().all(|digit| *digit == 0)
                || [[0, 0, 0], [6, 6, 6]].contains(&[*a, *b, *c])
        }
        _ => true,
    };
    // Printed in advertisements and examples.
    let famous = [123_456_789, 987_654_320, 78_051_120];
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| number * 10 + u64::from(*digit));
    Check::unless(mixed || same || wrong || famous.contains(&number))
}
