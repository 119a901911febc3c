//! Entities of Germany.

use super::{
    super::{
        checksums::{digits_in, mod_11_10, weighted},
        entity::{Check, Entity, pattern, unchecked},
    },
    europe::is_plate_alone,
};

/// What serial numbers of passports and identity cards are written in.
const DOCUMENT: &str = r"\b[cfghj-nprtv-z][cfghj-nprtv-z0-9]{7}[0-9]\b";

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "DE_BSNR",
        patterns: &[pattern(r"\b\d{9}\b", 0.2)],
        context: &[
            "betriebsstätte",
            "bsnr",
            "praxis",
            "kv-nummer",
            "behandlungsort",
        ],
        check: |text| Check::unless(digits_in(text).iter().all(|digit| *digit == 0)),
    },
    Entity {
        name: "DE_FUEHRERSCHEIN",
        patterns: &[pattern(r"\b[a-z]{2}\d{8}[a-z0-9]\b", 0.35)],
        context: &["führerschein", "fahrerlaubnis", "fev", "kba"],
        check: unchecked,
    },
    Entity {
        name: "DE_HANDELSREGISTER",
        patterns: &[pattern(r"\bhr[ab]\s{0,4}\d{1,6}\b", 0.5)],
        context: &[
            "handelsregister",
            "amtsgericht",
            "registergericht",
            "hra",
            "hrb",
            "registerauszug",
            "firma",
            "gesellschaft",
            "gmbh",
            "ag",
            "ug",
            "kg",
            "ohg",
            "einzelkauf",
        ],
        check: unchecked,
    },
    Entity {
        name: "DE_HEALTH_INSURANCE",
        patterns: &[pattern(r"\b[a-z]\d{9}\b", 0.3)],
        context: &[
            "krankenversicher",
            "versicherten",
            "kvnr",
            "krankenkasse",
            "gesundheitskarte",
            "egk",
            "gkv",
            "aok",
            "tkk",
            "barmer",
            "dak",
        ],
        check: |text| {
            let mut digits = letter_value(text.chars().next());
            digits.extend(digits_in(text));
            let sum = cross_sum(&digits, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
            Check::valid_if(digits.get(10) == Some(&(sum % 10)))
        },
    },
    Entity {
        name: "DE_ID_CARD",
        patterns: &[pattern(DOCUMENT, 0.4), pattern(r"\bt\d{8}\b", 0.5)],
        context: &[
            "ausweis",
            "dokumentennummer",
            "seriennummer",
            "npa",
            "pauwsg",
        ],
        check: |text| {
            let rest = text.get(1..).unwrap_or_default();
            let old =
                text.starts_with(['T', 't']) && rest.bytes().all(|byte| byte.is_ascii_digit());
            if old {
                Check::Unknown
            } else {
                Check::valid_if(is_document(text))
            }
        },
    },
    Entity {
        name: "DE_KFZ",
        patterns: &[pattern(
            r"[a-zäöü]{1,3}(?:\s[a-z]{1,2}\s|-[a-z]{1,2}[-\s])\d{1,4}[eh]?\b{end-half}",
            0.3,
        )
        .stands(is_plate_alone)],
        context: &[
            "kennzeichen",
            "nummernschild",
            "zulassung",
            "kfz",
            "fahrzeug",
            "auto",
            "pkw",
            "lkw",
        ],
        check: unchecked,
    },
    Entity {
        name: "DE_LANR",
        patterns: &[pattern(r"\b\d{9}\b", 0.3)],
        context: &[
            "arzt",
            "lanr",
            "kbv",
            "kv-nummer",
            "rezept",
            "verschreibung",
        ],
        check: |text| {
            let digits = digits_in(text);
            let sum = weighted(&digits, &[4, 9, 4, 9, 4, 9]) % 10;
            Check::valid_if(digits.get(6) == Some(&((10 - sum) % 10)))
        },
    },
    Entity {
        name: "DE_PASSPORT",
        patterns: &[pattern(DOCUMENT, 0.4)],
        context: &["pass", "dokumentennummer", "ausweisdokument", "mrz"],
        check: |text| Check::valid_if(is_document(text)),
    },
    Entity {
        name: "DE_PLZ",
        patterns: &[pattern(r"\b(?:0[1-9]\d{3}|[1-9]\d{4})\b", 0.05)
            .stands(|text, found| !matches!(text.get(found.clone()), Some("01000" | "99999")))],
        context: &[
            "plz",
            "postleitzahl",
            "anschrift",
            "adresse",
            "ort",
            "straße",
            "strasse",
            "hausnummer",
            "postfach",
            "bundesland",
            "gemeinde",
            "stadt",
            "dorf",
        ],
        check: unchecked,
    },
    Entity {
        name: "DE_SOCIAL_SECURITY",
        patterns: &[pattern(
            r"\b\d{2}(?:0[1-9]|[12]\d|3[01]|5[1-9]|[67]\d|8[01])(?:0[1-9]|1[0-2])\d{2}[a-z]\d{3}\b",
            0.5,
        )],
        context: &["versicherung", "rvnr", "svnr", "sv-nummer", "rente", "drv"],
        check: |text| {
            let mut digits = digits_in(text.get(..8).unwrap_or_default());
            digits.extend(letter_value(text.chars().nth(8)));
            digits.extend(digits_in(text.get(9..).unwrap_or_default()));
            let sum = cross_sum(&digits, &[2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]);
            Check::valid_if(digits.get(12) == Some(&(sum % 10)))
        },
    },
    Entity {
        name: "DE_TAX_ID",
        patterns: &[pattern(r"\b[1-9]\d{10}\b", 0.5)],
        context: &["steuer", "identifikation", "idnr", "bzst"],
        check: |text| {
            let digits = digits_in(text);
            let (head, check) = digits.split_at(digits.len().min(10));
            // Since 2016 a digit may stand three times, and no more.
            let often =
                (0..10).any(|digit| head.iter().filter(|found| **found == digit).count() > 3);
            Check::valid_if(!often && check == [mod_11_10(head)])
        },
    },
    Entity {
        name: "DE_TAX_NUMBER",
        patterns: &[
            pattern(r"\b(?:0[1-9]|1[0-6])\d{11}\b", 0.5),
            pattern(r"\b{start-half}\d{3}/\d{3}/\d{5}\b{end-half}", 0.4),
            pattern(r"\b{start-half}\d{2,3}/\d{3,4}/\d{4,5}\b{end-half}", 0.2),
        ],
        context: &["steuer", "finanzamt"],
        check: unchecked,
    },
    Entity {
        name: "DE_VAT_ID",
        patterns: &[
            pattern(r"\bde\d{9}\b", 0.5),
            pattern(r"\bde(?:[\s.-]?\d{3}){3}\b", 0.4),
        ],
        context: &[
            "umsatzsteuer",
            "ust-id",
            "ustidnr",
            "mehrwertsteuer",
            "vat",
            "steueridentifikation",
            "bzst",
            "bundeszentralamt",
            "finanzamt",
            "invoice",
            "rechnung",
        ],
        // The check digit is nowhere published, so that a wrong one proves nothing.
        check: |text| match digits_in(text).split_last() {
            Some((check, rest)) if *check == mod_11_10(rest) => Check::Valid,
            _ => Check::Unknown,
        },
    },
];

/// The place of a letter in the alphabet, from 1, as two digits.
fn letter_value(letter: Option<char>) -> Vec<u32> {
    let place = letter.and_then(|letter| letter.to_digit(36)?.checked_sub(9));
    place.map_or_else(Vec::new, |place| vec![place / 10, place % 10])
}

/// The sum of the digits' products with their weights, each product by its digits.
fn cross_sum(digits: &[u32], weights: &[u32]) -> u32 {
    let products = digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| digit * weight);
    products.map(|product| product / 10 + product % 10).sum()
}

/// The check digit of machine-readable documents.
fn is_document(text: &str) -> bool {
    let values: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(36)).collect();
    let values = values.unwrap_or_default();
    let sum = weighted(&values, &[7, 3, 1, 7, 3, 1, 7, 3]);
    values.get(8) == Some(&(sum % 10))
}
