//! The Python of a rails directory, as far as it shows without being run: which actions its files define.

use std::path::{Path, PathBuf};

use super::python_tokens::{Token, tokens};
use crate::error::Fault;

/// A Python file of the directory that the reference would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PythonFile {
    /// The path, relative to the rails directory where it lies in it.
    pub(crate) path: PathBuf,
    /// The actions that it defines or registers.
    pub(crate) actions: Vec<DefinedAction>,
    /// Whether it holds nothing but comments and imports.
    pub(crate) is_empty: bool,
}

/// An action that a Python file defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DefinedAction {
    /// Its name, as flows call it.
    pub(crate) name: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The names of its parameters, where the file shows them.
    pub(crate) parameters: Vec<String>,
}

/// Whether the reference would run the file at `relative` in a rails directory.
pub(super) fn is_run(relative: &Path) -> bool {
    let name = relative.to_string_lossy();
    matches!(name.as_ref(), "config.py" | "actions.py")
        || (relative.starts_with("actions") && name.ends_with(".py"))
}

impl PythonFile {
    pub(super) fn read(path: PathBuf, text: &str) -> Self {
        let tokens = tokens(text);
        let mut actions = marked(&tokens);
        for action in registered(&tokens) {
            if actions.iter().all(|known| known.name != action.name) {
                actions.push(action);
            }
        }
        Self {
            path,
            actions,
            is_empty: is_empty(&tokens),
        }
    }

    /// That nobody runs it.
    pub(super) fn not_run(&self) -> Fault {
        let message = format!("this Python file is not run: {WAYS}");
        Fault::new(message).in_file(&self.path)
    }
}

/// What can be done about code that nobody runs.
pub(crate) const WAYS: &str = "register its actions in Rust (`.action(..)`), have a worker run it (`.python(\"python3\")`, `python: \
     {interpreter: python3}` in the config, `--python python3` of the examples), or name an actions server \
     (`actions_server_url`)";

/// The functions and classes that are marked by `@action`.
fn marked(tokens: &[Token<'_>]) -> Vec<DefinedAction> {
    let mut actions = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if !token.is("@") {
            continue;
        }
        // `@action`, `@actions.action(...)`.
        let mut is_action = false;
        while let Some(Token::Name(name, _)) = tokens.get(at) {
            is_action = *name == "action";
            at += 1;
            if !tokens.get(at).is_some_and(|token| token.is(".")) {
                break;
            }
            at += 1;
        }
        if !is_action {
            continue;
        }
        let arguments = brackets(tokens, at);
        let given = keyword(arguments, "name");
        at += arguments.len();
        // Further decorators lie between.
        let Some(defined) = tokens.get(at..).and_then(|rest| {
            let begin = rest
                .iter()
                .position(|token| token.is("def") || token.is("class"))?;
            definition(rest.get(begin + 1..)?)
        }) else {
            continue;
        };
        actions.push(DefinedAction {
            name: given.unwrap_or_else(|| defined.name.clone()),
            ..defined
        });
    }
    actions
}

/// What `register_action(function, "name")` registers.
fn registered(tokens: &[Token<'_>]) -> Vec<DefinedAction> {
    let calls = tokens.iter().enumerate();
    let calls = calls.filter(|(_, token)| token.is("register_action"));
    let actions = calls.filter_map(|(at, token)| {
        let arguments = brackets(tokens, at + 1);
        let function = match arguments.get(1)? {
            Token::Name(name, _) => *name,
            _ => "",
        };
        let second = arguments.get(2).filter(|token| token.is(","));
        let second = second.and_then(|_| match arguments.get(3)? {
            Token::Text(text, _) => Some(text.clone()),
            _ => None,
        });
        let name = keyword(arguments, "name").or(second);
        let definition = tokens.iter().enumerate().find_map(|(at, token)| {
            let rest = tokens.get(at + 1..).filter(|_| token.is("def"))?;
            definition(rest).filter(|defined| defined.name == function)
        });
        let name = name.unwrap_or_else(|| function.to_owned());
        (!name.is_empty()).then(|| DefinedAction {
            name,
            line: token.line(),
            parameters: definition
                .map(|defined| defined.parameters)
                .unwrap_or_default(),
        })
    });
    actions.collect()
}

/// `name(parameters)`, after `def` or `class`.
fn definition(tokens: &[Token<'_>]) -> Option<DefinedAction> {
    let Token::Name(name, line) = tokens.first()? else {
        return None;
    };
    let list = brackets(tokens, 1);
    let mut parameters = Vec::new();
    let mut depth = 0;
    let mut is_first = false;
    for token in list {
        match token {
            Token::Mark("(" | "[" | "{", _) => {
                depth += 1;
                is_first = depth == 1;
            }
            Token::Mark(")" | "]" | "}", _) => depth -= 1,
            Token::Mark(",", _) => is_first = depth == 1,
            Token::Name(name, _) if is_first && depth == 1 => {
                parameters.push((*name).to_owned());
                is_first = false;
            }
            Token::Mark("*", _) if depth == 1 => {}
            _ => is_first = false,
        }
    }
    Some(DefinedAction {
        name: (*name).to_owned(),
        line: *line,
        parameters,
    })
}

/// The tokens of the bracket that opens at `at`, with both its ends; none where there is no bracket.
fn brackets<'a, 't>(tokens: &'a [Token<'t>], at: usize) -> &'a [Token<'t>] {
    let rest = tokens.get(at..).unwrap_or_default();
    if !rest.first().is_some_and(|token| token.is("(")) {
        return &[];
    }
    let mut depth = 0_usize;
    for (index, token) in rest.iter().enumerate() {
        if ["(", "[", "{"].iter().any(|open| token.is(open)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|close| token.is(close)) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return rest.get(..=index).unwrap_or_default();
            }
        }
    }
    rest
}

/// The text that is given as `name="..."`.
fn keyword(arguments: &[Token<'_>], name: &str) -> Option<String> {
    arguments.windows(3).find_map(|window| match window {
        [Token::Name(key, _), equals, Token::Text(text, _)] if *key == name && equals.is("=") => {
            Some(text.clone())
        }
        _ => None,
    })
}

/// Whether there is nothing but imports, texts that stand alone, and `pass`.
fn is_empty(tokens: &[Token<'_>]) -> bool {
    let mut lines = tokens.split(|token| matches!(token, Token::End(_)));
    lines.all(|line| match line {
        [] | [Token::Text(..)] => true,
        [first, ..] => ["import", "from", "pass"].iter().any(|word| first.is(word)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PythonFile {
        PythonFile::read("actions.py".into(), text)
    }

    #[test]
    fn actions_are_found_without_running_anything() {
        let file = read(
            r#"
"""@action() def not_this(): pass"""
from nemoguardrails.actions import action
import a.b

# @action() def nor_this()
@action()
async def one(text: str = "a, b", *, context: Optional[dict] = None, **kwargs):
    x = '@action() \' def no(): '

@other(name="wrong")
@action(is_system_action=True, name="renamed")
@third
def two(a, b=(1, 2), c: Dict[str, int] = {"x": 1}): return a

@actions.action
class Three(Base):
    def run(self): pass

@not_action()
def four(): pass

def five(query, kb=None): pass

def init(app):
    app.register_action(five, "registered")
    app.register_action(action=five, name='by_name')
    app.register_action(two)
"#,
        );
        let found: Vec<_> = file
            .actions
            .iter()
            .map(|action| {
                (
                    action.name.as_str(),
                    action.line,
                    action.parameters.join(" "),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("one", 8, "text context kwargs".to_owned()),
                ("renamed", 14, "a b c".to_owned()),
                ("Three", 17, "Base".to_owned()),
                ("registered", 26, "query kb".to_owned()),
                ("by_name", 27, String::new()),
                ("two", 28, "a b c".to_owned()),
            ]
        );
        assert!(!file.is_empty);
    }

    #[test]
    fn comments_and_imports_are_nothing() {
        for text in [
            "",
            "# a comment\n",
            "\"\"\"Text.\"\"\"\nimport os, sys\nfrom a import (\n    b,\n    c,\n)\npass\n",
        ] {
            assert!(read(text).is_empty, "{text}");
        }
        for text in [
            "x = 1\n",
            "def f(): pass",
            "import os; os.remove('x')",
            "print(1)",
        ] {
            assert!(!read(text).is_empty, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_trouble() {
        for text in [
            "@action(",
            "@action(name=",
            "@",
            "def",
            "@action()\ndef f(",
            "'",
            "\"\"\"",
            "x = '\\",
        ] {
            read(text);
        }
    }

    #[test]
    fn files_are_those_that_the_reference_finds() {
        for (path, expected) in [
            ("config.py", true),
            ("actions.py", true),
            ("actions/a.py", true),
            ("actions/b/c.py", true),
            ("sub/actions.py", false),
            ("helpers.py", false),
            ("actions/readme.md", false),
        ] {
            assert_eq!(is_run(Path::new(path)), expected, "{path}");
        }
    }
}
