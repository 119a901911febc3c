//! Which version of Colang a file is written in. A file in the other version than the configuration's is passed over.

/// Whether a file is read as Colang 2: none of its lines begins with `define`, not counting comments and what stands in
/// triple quotes.
pub(super) fn is_version_2(text: &str) -> bool {
    !without_blocks(text).lines().any(|line| {
        let code = line.split('#').next().unwrap_or_default();
        code.trim_start().starts_with("define")
    })
}

/// Whether a file says anything at all.
pub(super) fn is_blank(text: &str) -> bool {
    text.lines()
        .all(|line| line.split('#').next().unwrap_or_default().trim().is_empty())
}

/// A text less what stands between triple quotes; an opening one that none closes stays.
fn without_blocks(text: &str) -> String {
    const QUOTES: &str = "\"\"\"";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(QUOTES) {
        let Some((_, behind)) = after.split_once(QUOTES) else {
            break;
        };
        kept.push_str(before);
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_define_makes_a_file_version_1() {
        for one in [
            "define flow x\n  stop\n",
            "flow x\n  define",
            "x \"\"\"\ndefine user y",
            "\"\"\"a\"\"\" \n  defined",
        ] {
            assert!(!is_version_2(one), "{one}");
        }
        for two in [
            "",
            "flow main\n  match X()",
            "# define flow x",
            "\"\"\"\ndefine flow x\n\"\"\"\nflow y",
            "user define\n",
        ] {
            assert!(is_version_2(two), "{two}");
        }
        assert!(is_blank(" \n# x\n") && !is_blank("x"));
    }
}
