//! Entities of no country.

use std::{net::IpAddr, ops::Range};

use super::super::{
    checksums::{digits_in, is_digit, luhn},
    crypto,
    entity::{Check, Entity, before, pattern, unchecked},
    iban,
};

const IPV4: &str = r"\b(?:(?:25[0-5]|2[0-4]\d|[01]?\d\d?)\.){3}(?:25[0-5]|2[0-4]\d|[01]?\d\d?)(?:/(?:[0-2]?\d|3[0-2]))?\b";
/// Anything that may be an address of version 6; the check decides.
const IPV6: &str = r"(?:[0-9a-f]{0,4}:){2,8}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{1,4})?(?:%[0-9a-z]+)?(?:/\d{1,3}\b)?";

pub(super) const ENTITIES: &[Entity] = &[
    Entity {
        name: "CREDIT_CARD",
        patterns: &[pattern(
            r"\b(?:4\d{3}|5[0-5]\d\d|[136]\d{3})(?:[- ]?\d{3,4}){2}[- ]?\d{3,5}\b",
            0.3,
        )
        .stands(is_no_timestamp)],
        context: &[
            "credit",
            "card",
            "visa",
            "mastercard",
            "amex",
            "discover",
            "jcb",
            "diners",
            "maestro",
            "instapayment",
        ],
        check: |text| Check::valid_if(luhn(&digits_in(text))),
    },
    Entity {
        name: "CRYPTO",
        patterns: &[pattern(r"(?:bc1|[13])[a-z0-9]{25,59}", 0.5)],
        context: &["wallet", "btc", "bitcoin", "crypto"],
        check: |text| Check::valid_if(crypto::is_address(text)),
    },
    Entity {
        name: "IBAN_CODE",
        patterns: &[pattern(
            r"[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?",
            0.5,
        )
        .ends(iban::end)],
        context: &["iban", "bank", "transaction"],
        check: iban::check,
    },
    Entity {
        name: "IP_ADDRESS",
        patterns: &[
            pattern(IPV4, 0.6),
            pattern(IPV6, 0.6).stands(is_address_on_its_own),
        ],
        context: &["ip", "ipv4", "ipv6"],
        check: |text| {
            let address = text.split(['/', '%']).next().unwrap_or_default();
            let address = address.parse::<IpAddr>().ok();
            Check::unless(
                address.is_none_or(|address| address.is_unspecified() && text.contains(':')),
            )
        },
    },
    Entity {
        name: "MAC_ADDRESS",
        patterns: &[
            pattern(
                r"\b[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5})\b",
                0.6,
            ),
            pattern(r"\b[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\b", 0.6),
        ],
        context: &["mac", "ethernet"],
        check: |text| {
            let mut digits = text.chars().filter(char::is_ascii_alphanumeric);
            let first = digits.next().map(|c| c.to_ascii_uppercase());
            let same = digits.all(|c| Some(c.to_ascii_uppercase()) == first);
            Check::unless(same && matches!(first, Some('0' | 'F')))
        },
    },
    Entity {
        name: "UUID",
        // The version is 1 to 8, the variant 8 to b.
        patterns: &[pattern(
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b",
            0.5,
        )],
        context: &["uuid", "guid"],
        check: unchecked,
    },
];

/// Thirteen digits that begin with 1 are a time in milliseconds.
fn is_no_timestamp(text: &str, found: &Range<usize>) -> bool {
    let text = text.get(found.start..).unwrap_or_default();
    let digits = text.chars().take_while(|c| is_digit(*c)).count();
    !(text.starts_with('1') && digits == 13)
}

fn is_address_on_its_own(text: &str, found: &Range<usize>) -> bool {
    let joins = |c: char| c == '_' || c == ':' || c.is_alphanumeric();
    let mut rest = text.get(found.end..).unwrap_or_default().chars();
    let goes_on = match rest.next() {
        Some('.') => rest.next().is_some_and(is_digit),
        next => next.is_some_and(joins),
    };
    !goes_on && !before(text, found.start).is_some_and(joins)
}
