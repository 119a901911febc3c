//! The built-in groups of rules, each matcher written for its rule: they need no YARA, and run on every text.
//!
//! A rule has texts that it looks for and a condition on where they stand. Words and patterns are those of bytes: `\d`, `\w` and
//! `\s` are of ASCII, and letter case, where it does not count, is that of ASCII.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem;
use regex::bytes::Regex;

use super::omit::{Budget, Overrun};

/// A group of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// SQL with the marks of an injection.
    Sqli,
    /// Templates of Jinja.
    Template,
    /// Imports of Python modules that reach the shell or the network.
    Code,
    /// Scripts in Markdown and HTML, and embedded images, which send what their address holds.
    Xss,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Sqli, Self::Template, Self::Code, Self::Xss];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqli => "sqli",
            Self::Template => "template",
            Self::Code => "code",
            Self::Xss => "xss",
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }

    /// Its rules, in the order in which they are named.
    pub(super) fn rules(self) -> &'static [Rule] {
        match self {
            Self::Sqli => &[Rule::SqlInjection],
            Self::Template => &[Rule::JinjaInjection],
            Self::Code => &[Rule::ImportShells, Rule::ImportNetworking],
            Self::Xss => &[Rule::MarkdownXss],
        }
    }
}

/// A built-in rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    SqlInjection,
    JinjaInjection,
    ImportShells,
    ImportNetworking,
    MarkdownXss,
}

impl Rule {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SqlInjection => "sql_injection",
            Self::JinjaInjection => "jinja_injection",
            Self::ImportShells => "import_shells",
            Self::ImportNetworking => "import_networking",
            Self::MarkdownXss => "markdown_xss",
        }
    }

    /// Whether `text` is what the rule describes.
    pub(super) fn matches(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::SqlInjection => {
                SQL_WORD.is_match(bytes)
                    && (SQL_SIGN.is_match(bytes)
                        || SQL_LAST_COMMENT.is_match(bytes)
                        || has_open_quote(bytes))
            }
            Self::JinjaInjection => is_before(bytes, "{{", "}}") || is_before(bytes, "{%", "%}"),
            Self::ImportShells => imports(bytes, SHELLS),
            Self::ImportNetworking => imports(bytes, NETWORKING),
            Self::MarkdownXss => XSS_SIGN.is_match(bytes) || is_before(bytes, "href", "javascript"),
        }
    }

    /// All that the rule looks for, wherever it stands in a text that the rule matches, in the order of the rule's own texts.
    pub(super) fn pieces(
        self,
        text: &str,
        budget: &mut Budget,
    ) -> Result<Vec<Range<usize>>, Overrun> {
        let mut pieces = Pieces {
            text: text.as_bytes(),
            found: Vec::new(),
            budget,
        };
        match self {
            Self::SqlInjection => {
                for word in SQL_WORDS {
                    pieces.word_of_any_case(word)?;
                }
                pieces.pattern(&SQL_LINE_COMMENT)?;
                pieces.pattern(&SQL_LAST_COMMENT)?;
                if has_open_quote(pieces.text) {
                    pieces.found.push(0..pieces.text.len());
                }
                pieces.pattern(&SQL_SEMICOLON)?;
                pieces.pattern(&SQL_CHAR)?;
                pieces.pattern(&SQL_CATALOG)?;
            }
            Self::JinjaInjection => pieces.words(&["{{", "}}", "{%", "%}"])?,
            Self::ImportShells => {
                pieces.words(&["from", "import"])?;
                pieces.words(SHELLS)?;
            }
            Self::ImportNetworking => {
                pieces.words(&["from", "import"])?;
                pieces.words(NETWORKING)?;
            }
            Self::MarkdownXss => {
                pieces.words(&["href", "javascript"])?;
                pieces.pattern(&XSS_SCRIPT)?;
                pieces.pattern(&XSS_IMAGE)?;
                pieces.pattern(&XSS_LINK)?;
            }
        }
        Ok(pieces.found)
    }
}

/// Statements of SQL that read or change what is stored.
const SQL_WORDS: [&str; 11] = [
    "SELECT", "ALTER", "ADD", "CREATE", "DROP", "EXEC", "UNION", "INSERT", "UPSERT", "DELETE",
    "TRUNCATE",
];

/// The modules that run commands.
const SHELLS: &[&str] = &["os", "cmd", "subprocess", "shutil"];

/// The modules that reach the network.
const NETWORKING: &[&str] = &[
    "socket",
    "asyncio",
    "http",
    "bs4",
    "requests",
    "mechanize",
    "urllib",
    "asyncssh",
];

macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $pattern:expr;)*) => {$(
        $(#[$doc])*
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a constant that a test compiles"));
    )*};
}

patterns! {
    SQL_WORD = r"(?i-u)SELECT|ALTER|ADD|CREATE|DROP|EXEC|UNION|INSERT|UPSERT|DELETE|TRUNCATE";
    /// Any of the four signs that say enough wherever they stand.
    SQL_SIGN = r"(?i-u)--[^\r\n]|;[^\r\n]|cha?r\(\d+\)|(?:SELECT|FROM)\s*pg_\w";
    SQL_LINE_COMMENT = r"(?-u)--[^\r\n]";
    /// A comment that runs to the end of the text, in one line.
    SQL_LAST_COMMENT = r"(?-u)/\*[^\r\n*/]+\z";
    SQL_SEMICOLON = r"(?-u);[^\r\n]";
    /// Texts spelled out by the numbers of their characters.
    SQL_CHAR = r"(?i-u)(?:cha?r\(\d+\)(?:[,+]|\|\|)?)+";
    /// The system's own tables.
    SQL_CATALOG = r"(?i-u)(?:SELECT|FROM)\s*pg_\w";
    XSS_SIGN = r"(?-u)(?i:<script>)[^\n]+(?i:</script>)|!\[[^\n]+\]\([^\n]+\)|\[[^\n]+\]\(javascript[\^n]+\)";
    XSS_SCRIPT = r"(?i-u)<script>[^\n]+?</script>";
    XSS_IMAGE = r"(?-u)\s?!\[[^\n]+\]\([^\n]+\)";
    XSS_LINK = r"(?-u)\[[^\n]+\]\(javascript[\^n]+\)";
}

/// How far from the last quote the text may begin and end, in bytes: in long prose an apostrophe too many says nothing.
const QUOTE_REACH: usize = 1024;

/// Whether a quote is opened that nothing closes, with something after it.
fn has_open_quote(text: &[u8]) -> bool {
    let Some(last) = memchr::memrchr(b'\'', text) else {
        return false;
    };
    let rest = text.len() - last;
    last <= QUOTE_REACH
        && (2..=QUOTE_REACH).contains(&rest)
        && memchr::memchr_iter(b'\'', text).count() % 2 == 1
}

/// Whether both are there, and the first `first` stands before the first `second`.
fn is_before(text: &[u8], first: &str, second: &str) -> bool {
    let Some(start) = memmem::find(text, first.as_bytes()) else {
        return false;
    };
    memmem::find(text, second.as_bytes()).is_some_and(|second| start < second)
}

/// Whether one of `modules` is named after the first `import`, or one after the first `from` and one before that `import`.
fn imports(text: &[u8], modules: &[&str]) -> bool {
    let Some(import) = memmem::find(text, b"import") else {
        return false;
    };
    let mut from = None;
    let mut before = false;
    let mut after_from = false;
    for module in modules {
        let Some(module) = memmem::find(text, module.as_bytes()) else {
            continue;
        };
        if import < module {
            return true;
        }
        let from = *from.get_or_insert_with(|| memmem::find(text, b"from"));
        before |= module < import;
        after_from |= from.is_some_and(|from| from < module);
    }
    before && after_from
}

/// The places of what a rule looks for.
struct Pieces<'a> {
    text: &'a [u8],
    found: Vec<Range<usize>>,
    budget: &'a mut Budget,
}

impl Pieces<'_> {
    /// Every place of each of `words`, overlapping ones too.
    fn words(&mut self, words: &[&str]) -> Result<(), Overrun> {
        for word in words {
            self.budget.spend(self.text.len())?;
            let finder = memmem::Finder::new(word.as_bytes());
            let mut at = 0;
            while let Some(found) = self.text.get(at..).and_then(|rest| finder.find(rest)) {
                let start = at + found;
                self.found.push(start..start + word.len());
                at = start + 1;
            }
        }
        Ok(())
    }

    fn word_of_any_case(&mut self, word: &str) -> Result<(), Overrun> {
        self.budget.spend(self.text.len())?;
        let windows = self.text.windows(word.len()).enumerate();
        let found = windows.filter(|(_, window)| window.eq_ignore_ascii_case(word.as_bytes()));
        self.found
            .extend(found.map(|(start, _)| start..start + word.len()));
        Ok(())
    }

    /// The match of `pattern` from every place where one begins.
    fn pattern(&mut self, pattern: &Regex) -> Result<(), Overrun> {
        let mut at = 0;
        while at <= self.text.len() {
            // Each search may read all that is left.
            self.budget.spend(self.text.len() - at)?;
            let Some(found) = pattern.find_at(self.text, at) else {
                break;
            };
            self.found.push(found.range());
            at = found.start() + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        let groups = Group::ALL.into_iter();
        let rules = groups.flat_map(|group| group.rules()).copied();
        rules
            .filter(|rule| rule.matches(text))
            .map(Rule::name)
            .collect()
    }

    #[test]
    fn each_rule_knows_its_texts() {
        for (text, expected) in [
            ("All is well", &[][..]),
            ("SELECT a FROM b", &[]),
            ("select a from b;", &[]),
            ("select a from b; --", &["sql_injection"]),
            ("Drop the 'x", &["sql_injection"]),
            ("Drop the 'x'", &[]),
            ("add char(65)", &["sql_injection"]),
            ("exec /* all", &["sql_injection"]),
            ("exec /* all */", &[]),
            ("union from pg_user", &["sql_injection"]),
            ("{{ x }}", &["jinja_injection"]),
            ("{% x %}", &["jinja_injection"]),
            ("}} {{", &[]),
            ("import os", &["import_shells"]),
            ("os import", &[]),
            ("from os import x", &["import_shells"]),
            ("import http", &["import_networking"]),
            ("<SCRIPT>x</script>", &["markdown_xss"]),
            ("<script></script>", &[]),
            ("![a](b)", &["markdown_xss"]),
            ("[a](b)", &[]),
            ("[a](javascript^n)", &["markdown_xss"]),
            ("href javascript", &["markdown_xss"]),
            ("javascript href javascript", &[]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn a_quote_counts_only_in_short_texts() {
        assert!(has_open_quote(
            format!("it's {}", "a".repeat(1000)).as_bytes()
        ));
        assert!(!has_open_quote(
            format!("it's {}", "a".repeat(1030)).as_bytes()
        ));
        assert!(!has_open_quote(
            format!("{} it's", "a".repeat(1030)).as_bytes()
        ));
    }
}
