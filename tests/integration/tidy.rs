//! The map of `src/` holds: a room uses rooms on lower lines only.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms from top to bottom; `ARCHITECTURE.md` says what each is.
const LINES: [&[&str]; 9] = [
    &["error", "message", "verdict", "value", "observe", "compute"],
    &["http", "framing", "pattern", "colang"],
    &["config"],
    &["llm", "embeddings"],
    &["actions", "kb"],
    &["library"],
    &["rails", "wire"],
    &["layer"],
    &["lib", "blocking"],
];

/// Rooms on line 1 or above that keep to the bottom all the same.
const CONFINED: [(&str, &[&str]); 2] = [
    ("wire", &["error", "message", "verdict", "framing"]),
    ("colang", &["error", "value", "pattern"]),
];

fn line_of(room: &str) -> Option<usize> {
    LINES.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a source names after `crate::`, one by one or in braces.
fn rooms_used(source: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let line_start = source[..at].rfind('\n').map_or(0, |index| index + 1);
        if source[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let rest = &source[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            None => vec![rest],
            Some(list) => {
                let (mut depth, mut start, mut names) = (0_i32, 0, Vec::new());
                for (index, character) in list.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.push(&list[start..index]);
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.push(&list[start..index]);
                            start = index + 1;
                        }
                        _ => {}
                    }
                }
                names
            }
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect();
            if line_of(&name).is_some() {
                used.push(name);
            }
        }
    }
    used
}

#[test]
fn rooms_use_lower_rooms_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let room = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        let line = line_of(room).unwrap_or_else(|| panic!("the room {room} is not on the map"));
        for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
            let confined = CONFINED.iter().find(|(confined, _)| *confined == room);
            let fine = used == room
                || match confined {
                    Some((_, may_use)) => may_use.contains(&used.as_str()),
                    None => line_of(&used).is_some_and(|lower| lower < line),
                };
            if !fine {
                wrong.push(format!("{}: {room} uses {used}", relative.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows against the map:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_reader_of_arrows_sees_them() {
    let source = "use crate::layer::X;\nuse crate::{\n    rails::{A, B},\n    wire,\n};\n// crate::config\nlet x = crate::llm::Y;";
    assert_eq!(rooms_used(source), ["layer", "rails", "wire", "llm"]);
}
