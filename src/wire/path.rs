//! Paths as servers read them.
//!
//! Servers differ in what they make of an odd path: how often they decode it, whether dots are resolved before or after that,
//! whether `\` is a slash, whether `;` begins parameters, whether a decoded `?` ends the path. A guard that knows one of these
//! readings is walked around by another, so all of them are told: [`NormalPath::readings`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path in the form in which paths are compared: in lower case, without empty segments, query or trailing slash.
///
/// ```
/// use tower_guardrails::wire::NormalPath;
///
/// let path = NormalPath::new("/V1//x/..;a=b/%63hat%2fcompletions/?q");
/// assert_eq!(path.as_str(), "/v1/chat/completions");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NormalPath<'p>(Cow<'p, str>);

/// What servers make of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readings<'p> {
    /// All read it alike, as nearly all paths are.
    One(NormalPath<'p>),
    /// Some read one of these, some another.
    Several(Vec<NormalPath<'static>>),
    /// There are more readings than anyone has a use for.
    TooMany,
}

impl<'p> Readings<'p> {
    /// The readings; none where there are too many.
    pub fn as_slice(&self) -> &[NormalPath<'p>] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
            Self::TooMany => &[],
        }
    }
}

/// How many forms of one path are followed; who writes more hides something.
const FORMS: usize = 128;

/// How many bytes all forms of one path may have together.
const FORM_BYTES: usize = 256 << 10;

/// How often a path is decoded.
const DECODINGS: usize = 8;

impl<'p> NormalPath<'p> {
    /// What the most lenient server makes of `raw`, a path or a whole target in absolute form: it decodes all there is to
    /// decode, takes `\` for a slash and `;` for parameters, and resolves dots in the end.
    pub fn new(raw: &'p str) -> Self {
        let path = path_of(raw);
        if is_plain(path) {
            return Self(Cow::Borrowed(without_last_slash(path)));
        }
        let mut path = path.to_owned();
        for _ in 0..DECODINGS {
            match decoded(&path) {
                Some(once_more) => path = once_more,
                None => break,
            }
        }
        for change in [without_controls, with_slashes, without_parameters] {
            path = change(&path).unwrap_or(path);
        }
        path = without_dots(&path, true).unwrap_or(path);
        Self::compared(path.split(['?', '#']).next().unwrap_or_default())
    }

    /// Every reading of `raw` that some server takes.
    pub fn readings(raw: &'p str) -> Readings<'p> {
        let path = path_of(raw);
        if is_plain(path) {
            return Readings::One(Self(Cow::Borrowed(without_last_slash(path))));
        }
        // Each step that some server takes leads from one form to another; in which order they take them, nobody knows.
        let mut forms = vec![with_plain_letters(path)];
        let mut next = 0;
        while let Some(form) = forms.get(next).cloned() {
            next += 1;
            let steps = [
                decoded(&form),
                without_controls(&form),
                with_slashes(&form),
                without_parameters(&form),
                cut_at(&form, &['?', '#']),
                cut_at(&form, &[';']),
                without_dots(&form, true),
                without_dots(&form, false),
            ];
            for step in steps.into_iter().flatten() {
                if forms.contains(&step) {
                    continue;
                }
                if forms.len() == FORMS || forms.len() * path.len() > FORM_BYTES {
                    return Readings::TooMany;
                }
                forms.push(step);
            }
        }
        let mut found: Vec<NormalPath<'static>> = Vec::new();
        for form in &forms {
            let path = NormalPath::compared(form);
            if !found.contains(&path) {
                found.push(path);
            }
        }
        Readings::Several(found)
    }

    /// In lower case, without empty segments, and without the dots and spaces at a segment's end that some file systems drop.
    fn compared(path: &str) -> NormalPath<'static> {
        let mut normal = String::with_capacity(path.len() + 1);
        for segment in path.split('/') {
            let segment = segment.trim().trim_end_matches(['.', ' ']);
            if !segment.is_empty() {
                normal.push('/');
                normal.extend(segment.chars().flat_map(fold));
            }
        }
        if normal.is_empty() {
            normal.push('/');
        }
        NormalPath(Cow::Owned(normal))
    }

    /// The path, with its leading slash and without a trailing one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the last segments are `suffix`, which begins with a slash.
    pub fn ends_with(&self, suffix: &str) -> bool {
        suffix.starts_with('/') && self.0.ends_with(suffix)
    }

    /// The segments, from the first to the last; one empty segment where the path is `/`.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

/// Lower case, with the two letters that upper-case into ASCII.
pub(super) fn fold(character: char) -> impl Iterator<Item = char> {
    match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other,
    }
    .to_lowercase()
}

/// The path of a target: without its scheme, authority, query and fragment.
fn path_of(raw: &str) -> &str {
    let path = raw.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => match rest.find('/') {
            Some(slash) => rest.get(slash..).unwrap_or_default(),
            None => "/",
        },
        _ => path,
    }
}

/// Whether every server reads the path alike, and nothing in it has to be changed to compare it.
fn is_plain(path: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.~:@!$&()*+,=".contains(&byte)
    };
    match without_last_slash(path).strip_prefix('/') {
        None => false,
        Some("") => true,
        Some(rest) => rest.split('/').all(|segment| {
            // None that is empty, none of dots, none whose end some file system drops.
            !segment.is_empty() && !segment.ends_with('.') && segment.bytes().all(is_plain)
        }),
    }
}

fn without_last_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    }
}

/// With those letters decoded that mean the same either way (RFC 3986, 2.3), but for the dot, which dots hide behind.
fn with_plain_letters(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let code = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let letter = code.map(char::from);
        match letter.filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~')) {
            Some(letter) => {
                plain.push(letter);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Decoded once; none where nothing is encoded.
fn decoded(path: &str) -> Option<String> {
    if !path.contains('%') {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    (decoded != path).then(|| decoded.into_owned())
}

fn without_controls(path: &str) -> Option<String> {
    path.contains(char::is_control)
        .then(|| path.chars().filter(|c| !c.is_control()).collect())
}

fn with_slashes(path: &str) -> Option<String> {
    path.contains('\\').then(|| path.replace('\\', "/"))
}

/// Without what follows a `;` in each segment.
fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let segments = path.split('/');
    let segments = segments.map(|segment| segment.split(';').next().unwrap_or_default());
    Some(segments.collect::<Vec<_>>().join("/"))
}

fn cut_at(path: &str, ends: &[char]) -> Option<String> {
    let (before, _) = path.split_once(ends)?;
    Some(before.to_owned())
}

/// With its dots resolved, those that are encoded, too; none where there are none. `merges` says whether empty segments are dropped
/// before that or count as segments.
fn without_dots(path: &str, merges: bool) -> Option<String> {
    let is = |segment: &str, dots: usize| {
        let segment = segment.trim();
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain.len() == dots && plain.bytes().all(|byte| byte == b'.')
    };
    if !path.split('/').any(|s| is(s, 1) || is(s, 2)) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" if merges => {}
            dots if is(dots, 1) => {}
            dots if is(dots, 2) => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut resolved = kept.join("/");
    if !resolved.starts_with('/') {
        resolved.insert(0, '/');
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Vec<String> {
        let readings = NormalPath::readings(path);
        let paths = readings.as_slice().iter();
        paths.map(|path| path.as_str().to_owned()).collect()
    }

    #[test]
    fn a_plain_path_is_borrowed_and_has_one_reading() {
        for path in [
            "/",
            "/v1/chat/completions",
            "/v1beta/models/gemini-2.5-pro:generatecontent",
            "/a_b/c~d/e.f",
        ] {
            assert!(
                matches!(NormalPath::readings(path), Readings::One(NormalPath(Cow::Borrowed(same))) if same == path)
            );
            assert!(matches!(NormalPath::new(path).0, Cow::Borrowed(_)));
        }
        assert_eq!(readings("/v1/models/"), ["/v1/models"]);
        assert_eq!(readings("/v1/models?a=/../x"), ["/v1/models"]);
        assert_eq!(readings("https://host/v1/models#x"), ["/v1/models"]);
        assert_eq!(readings("https://host"), ["/"]);
    }

    #[test]
    fn every_order_of_steps_is_a_reading() {
        for (path, some) in [
            (
                "/v1/embeddings%3f/../chat/completions",
                "/v1/chat/completions",
            ),
            ("/v1/embeddings%3f/../chat/completions", "/v1/embeddings"),
            ("/v1/models%23/../chat/completions", "/v1/chat/completions"),
            (
                "/v1/embeddings%253f/../chat/completions",
                "/v1/chat/completions",
            ),
            (
                "/v1/files%3f/%2e%2e/chat/completions",
                "/v1/chat/completions",
            ),
            (
                "/v1/files%3f/%252e%252E/chat/completions",
                "/v1/chat/completions",
            ),
            (
                "/v1/embeddings%3f/..\\chat/completions",
                "/v1/chat/completions",
            ),
            (
                "/v1/embeddings%3f/..%5cchat/completions",
                "/v1/chat/completions",
            ),
            ("/v1/chat/completions;x/../../embeddings", "/v1/embeddings"),
            (
                "/v1/chat/completions;/../../embeddings",
                "/v1/chat/completions",
            ),
            ("/v1/x/..;a=b/chat/completions", "/v1/chat/completions"),
            ("/v1//../chat/completions", "/v1/chat/completions"),
            ("/v1//../chat/completions", "/chat/completions"),
            ("/V1/Chat/Completions", "/v1/chat/completions"),
            ("/v1/chat/completions.", "/v1/chat/completions"),
            ("/v1/chat/completions%20", "/v1/chat/completions"),
            ("/v1/chat/completions%00", "/v1/chat/completions"),
            ("/v1/chat%2fcompletions", "/v1/chat/completions"),
        ] {
            assert!(
                readings(path).contains(&some.to_owned()),
                "{path}: {:?}",
                readings(path)
            );
        }
    }

    #[test]
    fn a_letter_is_the_same_encoded_or_not() {
        assert_eq!(
            readings("/v1/%63hat/c%6Fmpletions"),
            ["/v1/chat/completions"]
        );
        assert_eq!(readings("/v1/a%zz%6"), ["/v1/a%zz%6"]);
    }

    #[test]
    fn the_readings_of_a_hostile_path_are_bounded() {
        let hostile = format!("/{}", "..%25255c;a%25253f/".repeat(4000));
        assert!(matches!(NormalPath::readings(&hostile), Readings::TooMany));
    }
}
