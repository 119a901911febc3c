//! Addresses of mail and of pages: what of a text is one depends on the names of domains.

use std::{collections::HashSet, ops::Range, sync::LazyLock};

use regex::Regex;

use super::{
    settle::NAME,
    view::{View, is_unspaced},
};

/// Every top-level domain that there is.
static DOMAINS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("domains.txt").split_whitespace().collect());

/// Those with which pages are written without `https://`: names of files and sentences without a space would be too many else.
static URL_ENDINGS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("url_endings.txt").split_whitespace().collect());

/// The addresses of mail.
pub(super) fn emails(view: &View<'_>) -> Vec<(Range<usize>, f64)> {
    let mut found = Vec::new();
    addresses(view, 0, &mut found);
    let text = view.text();
    if text.is_ascii() || !text.contains(is_unspaced) {
        return found;
    }
    // Names and domains may be of letters that part words elsewhere.
    for word in words_with_at(text) {
        if found.iter().any(|(other, _)| word.contains(&other.start)) {
            continue;
        }
        let whole = View::new(text.get(word.clone()).unwrap_or_default(), false);
        let mut more = Vec::new();
        addresses(&whole, word.start, &mut more);
        // A longer name is none, but a sentence without spaces.
        let is_short = |found: &(Range<usize>, f64)| {
            let address = text.get(found.0.clone()).unwrap_or_default();
            address.chars().take_while(|c| *c != '@').count() <= NAME
        };
        found.extend(more.into_iter().filter(is_short));
    }
    found
}

/// Adds the addresses of mail in `view`, whose text begins at `offset`.
fn addresses(view: &View<'_>, offset: usize, found: &mut Vec<(Range<usize>, f64)>) {
    static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let local = r"[!#$%\&'*+\-/=?^_`{|}\~\w]";
        let inner = r"[!#$%\&'*+\-/=?^_`{|}\~.\w]";
        let label = r"\w+(?:-+\w+)*";
        Regex::new(&format!(
            r"\b{local}(?:{inner}*{local})?@{label}(?:\.{label})+\b"
        ))
        .ok()
    });
    let Some(email) = EMAIL.as_ref() else {
        return;
    };
    for word in words_with_at(view.seen()) {
        let seen = view.seen().get(word.clone()).unwrap_or_default();
        for address in email.find_iter(seen) {
            let place = word.start + address.start()..word.start + address.end();
            let place = view.place(&place);
            let address = view.text().get(place.clone()).unwrap_or_default();
            let domain = address.rsplit('.').next().unwrap_or_default();
            if DOMAINS.contains(domain.to_lowercase().as_str()) {
                found.push((offset + place.start..offset + place.end, 1.0));
            }
        }
    }
}

/// The words with an `@`: an address has no space.
fn words_with_at(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + memchr::memchr(b'@', text.as_bytes().get(from..)?)?;
        let head = text.get(from..at)?.char_indices().rev();
        let space = head
            .map(|(place, c)| (from + place, c))
            .find(|(_, c)| c.is_whitespace());
        let start = space.map_or(from, |(place, c)| place + c.len_utf8());
        let end = text.get(at..)?.find(char::is_whitespace);
        let end = end.map_or(text.len(), |space| at + space);
        from = end;
        Some(start..end)
    })
}

/// The addresses of pages.
pub(super) fn urls(view: &View<'_>) -> Vec<(Range<usize>, f64)> {
    let text = view.text();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(dot) = memchr::memchr(b'.', bytes.get(from..).unwrap_or_default()) {
        let dot = from + dot;
        let head = bytes.get(from..dot).unwrap_or_default();
        let start = dot - head.iter().rev().take_while(|byte| is_host(**byte)).count();
        let tail = bytes.get(dot..).unwrap_or_default();
        let end = dot + tail.iter().take_while(|byte| is_host(**byte)).count();
        from = end;
        let run = text.get(start..end).unwrap_or_default();
        let before = text.get(..start).unwrap_or_default();
        let scheme = ["https://", "http://"].into_iter().find(|scheme| {
            before.len().checked_sub(scheme.len()).is_some_and(|at| {
                before
                    .get(at..)
                    .is_some_and(|found| found.eq_ignore_ascii_case(scheme))
            })
        });
        let known = if scheme.is_some() {
            &*DOMAINS
        } else {
            &*URL_ENDINGS
        };
        let Some(host) = host(run, known) else {
            continue;
        };
        let host = start + host.start..start + host.end;
        let begin = scheme.map_or(host.start, |scheme| start - scheme.len());
        let url = begin..host.end + rest(text.get(host.end..).unwrap_or_default());
        from = from.max(url.end);
        found.push((url, if scheme.is_some() { 0.6 } else { 0.5 }));
    }
    found
}

/// The host in a run of its characters: up to the last label that is a top-level domain.
fn host(run: &str, known: &HashSet<&str>) -> Option<Range<usize>> {
    let start = run.find(|c: char| c.is_ascii_alphanumeric())?;
    let dots = run
        .char_indices()
        .rev()
        .filter(|(at, c)| *c == '.' && *at > start);
    for (dot, _) in dots {
        let label = run.get(dot + 1..)?;
        let letters = label
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(label.len());
        let ending = label.get(..letters)?.to_ascii_lowercase();
        if known.contains(ending.as_str()) {
            return Some(start..dot + 1 + letters);
        }
    }
    None
}

/// How many bytes of port, path, query and fragment follow a host.
fn rest(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let port = match text.strip_prefix(':').map(digits) {
        Some(digits @ 1..=5) => 1 + digits,
        _ => 0,
    };
    let path = text.get(port..).unwrap_or_default();
    if !path.starts_with(['/', '?', '#']) {
        return port;
    }
    let ends = |c: char| c.is_whitespace() || "()<>\"'".contains(c);
    port + path.find(ends).unwrap_or(path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(find: impl Fn(&View<'_>) -> Vec<(Range<usize>, f64)>, text: &str) -> Vec<&str> {
        find(&View::of(text))
            .into_iter()
            .map(|(range, _)| &text[range])
            .collect()
    }

    #[test]
    fn addresses_of_mail() {
        let text = "To <john.d'oe+x@mail.example.co.uk>, a@b, x@y.notadomain; ünï@bücher.de.";
        assert_eq!(
            all(emails, text),
            ["john.d'oe+x@mail.example.co.uk", "ünï@bücher.de"]
        );
        assert_eq!(
            all(emails, "@ @@ a@@b.com x@xn--80ak6aa92e.com"),
            ["x@xn--80ak6aa92e.com"]
        );
        assert_eq!(all(emails, "a@b.com,c@d.org"), ["a@b.com", "c@d.org"]);
        assert_eq!(
            all(emails, "メールはtaro.yamada@example.co.jpです、c@d.orgから"),
            ["taro.yamada@example.co.jp", "c@d.org"]
        );
        assert_eq!(all(emails, "写信给 用户@例子.com 吧"), ["用户@例子.com"]);
        assert_eq!(all(emails, "ติดต่อbob@example.comนะ"), ["bob@example.com"]);
    }

    #[test]
    fn addresses_of_pages() {
        let text = "See (https://Example.com:8080/a?b=c#d), www.example.org/x. or example.community. Not 3.14 e.g. this";
        assert_eq!(
            all(urls, text),
            [
                "https://Example.com:8080/a?b=c#d",
                "www.example.org/x.",
                "example.community"
            ]
        );
        assert_eq!(all(urls, "...com .com a..com ftp://é.fr"), ["a..com"]);
        assert_eq!(all(urls, "http://localhost:80/x"), Vec::<&str>::new());
    }
}
