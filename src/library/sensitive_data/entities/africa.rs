//! Entities of Nigeria and South Africa.

use super::super::{
    checksums::{digits_in, is_date, luhn, verhoeff},
    entity::{Check, Entity, pattern, unchecked},
    this_year,
};

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "NG_NIN",
        patterns: &[pattern(r"\b\d{11}\b", 0.01)],
        context: &["nin", "nimc"],
        check: |text| Check::valid_if(verhoeff(&digits_in(text))),
    },
    Entity {
        name: "NG_VEHICLE_REGISTRATION",
        patterns: &[pattern(r"\b[a-z]{3}[- ]?\d{3}[a-z]{2}\b", 0.5)],
        context: &["plate", "vehicle", "registration"],
        check: unchecked,
    },
    Entity {
        name: "ZA_COMPANY_REGISTRATION",
        patterns: &[
            pattern(r"\b(?:19|20)\d{2}/\d{6}/\d{2}\b", 0.4),
            pattern(r"\b(?:ck|k|t|w|b|m|n|nr)\d{4}/\d{6}\b", 0.3),
        ],
        context: &["cipc"],
        check: |text| match digits_in(text).get(..4) {
            Some([a, b, c, d]) => {
                Check::valid_if((1800..=this_year()).contains(&(a * 1000 + b * 100 + c * 10 + d)))
            }
            _ => Check::Invalid,
        },
    },
    Entity {
        name: "ZA_DRIVER_LICENSE",
        patterns: &[pattern(r"\b\d{6,10}[a-z0-9]{2,5}\b", 0.3)],
        context: &["licence", "license", "enatis", "natis"],
        check: |text| {
            let letters = text.contains(|c: char| c.is_ascii_alphabetic());
            Check::valid_if(letters && (10..=14).contains(&text.len()))
        },
    },
    Entity {
        name: "ZA_ID_NUMBER",
        patterns: &[pattern(r"\b\d{10}[0-2][89]\d\b", 0.2)],
        context: &["id", "identity"],
        check: |text| Check::valid_if(is_south_african(&digits_in(text))),
    },
    Entity {
        name: "ZA_INCOME_TAX_NUMBER",
        patterns: &[pattern(r"\b[01239]\d{9}\b", 0.05)],
        context: &["sars", "itr", "taxpayer"],
        check: |_| Check::Valid,
    },
    Entity {
        name: "ZA_LICENSE_PLATE",
        patterns: &[
            pattern(
                r"\b[a-z]{2,4}\d{2,4}[a-z]{0,4}(?:gp|zn|wp|ec|nc|fs|lp|mp|nw)\b",
                0.3,
            ),
            pattern(
                r"\b[a-z]{2}\s?\d{2}\s?[a-z]{2}\s?(?:gp|zn|wp|ec|nc|fs|lp|mp|nw)\b",
                0.3,
            ),
            pattern(
                r"\b[a-z]{2,3}\s?\d{2,3}\s?(?:gp|zn|wp|ec|nc|fs|lp|mp|nw)\b",
                0.3,
            ),
            pattern(r"\b\d{2,3}\s?[a-z]{2,3}\s?ec\b", 0.3),
        ],
        context: &["registration", "natis", "enatis"],
        check: |_| Check::Valid,
    },
    Entity {
        name: "ZA_PASSPORT",
        patterns: &[pattern(r"\b[admt]\d{8}\b", 0.2)],
        context: &["passport", "dha"],
        check: |_| Check::Valid,
    },
    Entity {
        name: "ZA_TRAFFIC_REGISTER_NUMBER",
        patterns: &[pattern(r"\b\d{13}\b", 0.05)],
        context: &["trn", "enatis", "natis"],
        check: |text| Check::valid_if(!is_south_african(&digits_in(text))),
    },
    Entity {
        name: "ZA_VAT_NUMBER",
        patterns: &[pattern(r"\b4\d{9}\b", 0.3)],
        context: &["vat", "sars"],
        check: |_| Check::Valid,
    },
];

/// Date of birth, a number, citizenship (0 to 2), 8 or 9, and a check digit.
fn is_south_african(digits: &[u32]) -> bool {
    let [y1, y2, m1, m2, d1, d2, _, _, _, _, citizen, kind, _] = digits else {
        return false;
    };
    let year = y1 * 10 + y2;
    let century = if year > this_year() % 100 { 1900 } else { 2000 };
    is_date(century + year, m1 * 10 + m2, d1 * 10 + d2)
        && *citizen <= 2
        && matches!(kind, 8 | 9)
        && luhn(digits)
}
