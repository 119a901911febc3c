//! Draws the place of a fault.

use super::source::Source;
use crate::error::Fault;

/// The most characters of a line that are drawn.
const MOST_DRAWN: usize = 160;

/// A fault at a line (from 1), with the line drawn and a mark under its first character, or under `marked` where that
/// text stands in it.
pub(crate) fn fault(source: Source<'_>, number: usize, marked: &str, message: String) -> Fault {
    let fault = Fault::new(message).in_file(source.name);
    let Some(line) = source.line(number) else {
        return fault.at(number.max(1), 1);
    };
    let indent = line.len() - line.trim_start().len();
    let marked = marked.trim();
    let (start, length) = match line.find(marked) {
        Some(at) if !marked.is_empty() => (at, marked.chars().count()),
        _ => (indent, line.trim().chars().count()),
    };
    let column = line[..start].chars().count() + 1;
    fault
        .at(number, column)
        .with_excerpt(draw(line, number, column, length))
}

/// A fault at a place: a line and a column (both from 1), and how many characters of the line are marked.
pub(crate) fn fault_at(
    source: Source<'_>,
    (number, column): (usize, usize),
    length: usize,
    message: String,
) -> Fault {
    let fault = Fault::new(message).in_file(source.name).at(number, column);
    match source.line(number) {
        Some(line) => {
            let rest = line.chars().count().saturating_sub(column - 1);
            fault.with_excerpt(draw(line, number, column, length.min(rest)))
        }
        None => fault,
    }
}

fn draw(line: &str, number: usize, column: usize, length: usize) -> String {
    let shown: String = line
        .chars()
        .take(MOST_DRAWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = number.to_string();
    let gutter = " ".repeat(number.len());
    let mut excerpt = format!("{number} | {shown}");
    if column <= MOST_DRAWN {
        let room = MOST_DRAWN + 1 - column;
        let before = " ".repeat(column - 1);
        let mark = "^".repeat(length.clamp(1, room));
        excerpt.push_str(&format!("\n{gutter} | {before}{mark}"));
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_text_is_underlined() {
        let source = Source::new("a.co", "define flow x\n  wibble wobble\r\n");
        let fault = fault(source, 2, "wobble", "what?".to_owned());
        assert_eq!(
            fault.to_string(),
            "a.co:2:10: what?\n2 |   wibble wobble\n  |          ^^^^^^"
        );
    }

    #[test]
    fn a_line_that_is_not_there_has_no_drawing() {
        let fault = fault(Source::new("a.co", ""), 7, "x", "what?".to_owned());
        assert_eq!(fault.to_string(), "a.co:7:1: what?");
    }
}
