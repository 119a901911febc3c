//! Bitcoin addresses: Base58Check and Bech32.

use sha2::{Digest, Sha256};

/// Whether the address carries its own checksum.
pub(super) fn is_address(text: &str) -> bool {
    if text.starts_with(['1', '3']) {
        base58_check(text).unwrap_or(false)
    } else {
        text.starts_with("bc1") && bech32(text).unwrap_or(false)
    }
}

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The last four bytes are those that the double hash of the others begins with.
fn base58_check(text: &str) -> Option<bool> {
    let zeros = text.bytes().take_while(|byte| *byte == b'1').count();
    // The number, lowest byte first.
    let mut number: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes().skip(zeros) {
        let mut carry = BASE58.iter().position(|digit| *digit == byte)?;
        for place in &mut number {
            carry += usize::from(*place) * 58;
            *place = u8::try_from(carry % 256).ok()?;
            carry /= 256;
        }
        while carry > 0 {
            number.push(u8::try_from(carry % 256).ok()?);
            carry /= 256;
        }
    }
    number.extend(std::iter::repeat_n(0, zeros));
    number.reverse();
    let (payload, sum) = number.split_at_checked(number.len().checked_sub(4)?)?;
    let hash = Sha256::digest(Sha256::digest(payload));
    Some(hash.starts_with(sum))
}

const BECH32: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// The remainders of addresses of witness version 0, and of later ones.
const REMAINDERS: [u32; 2] = [1, 0x2bc8_30a3];

fn bech32(text: &str) -> Option<bool> {
    if text.chars().any(|c| c.is_ascii_uppercase()) || text.len() > 90 {
        return Some(false);
    }
    let (prefix, data) = text.rsplit_once('1')?;
    if prefix.is_empty() || data.len() < 6 {
        return Some(false);
    }
    let mut values: Vec<u32> = prefix.bytes().map(|byte| u32::from(byte >> 5)).collect();
    values.push(0);
    values.extend(prefix.bytes().map(|byte| u32::from(byte & 31)));
    for c in data.chars() {
        values.push(u32::try_from(BECH32.find(c)?).ok()?);
    }
    Some(REMAINDERS.contains(&polymod(&values)))
}

fn polymod(values: &[u32]) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    values.iter().fold(1, |check, value| {
        let top = check >> 25;
        let next = (check & 0x1ff_ffff) << 5 ^ value;
        let terms = GENERATOR.iter().enumerate();
        terms
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold(next, |next, (_, term)| next ^ term)
    })
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses() {
        assert!(is_address("16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"));
        assert!(!is_address("16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyX"));
        assert!(is_address("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"));
        assert!(!is_address("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp"));
        assert!(is_address(
            "bc1p5d7rjq7g6rdk2yhzks9smlaqtedr4dekq08ge8ztwac72sfr9rusxg3297"
        ));
        assert!(!is_address("1"));
        assert!(!is_address("bc1"));
        assert!(!is_address(""));
    }
}
