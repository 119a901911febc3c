//! `regex check input`, `regex check output`, `regex check retrieval`: patterns in Python's syntax; what they match is blocked.
//!
//! - Config: `rails.config.regex_detection.{input,output,retrieval}.{patterns, case_insensitive}`.
//! - On block: the refusal to respond.

use std::sync::Arc;

use serde::Deserialize;

use super::{CompileContext, Judge, PatternRail, Rail};
use crate::{
    error::Fault,
    pattern::{HoldLimits, Holding, Patterns},
    verdict::Place,
};

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    about: "Blocks texts that match one of the configured patterns",
    flows: &[
        ("regex check input", Place::Input),
        ("regex check output", Place::Output),
        ("regex check retrieval", Place::Retrieval),
    ],
    section: Some("regex_detection"),
    compile,
};

/// `rails.config.regex_detection`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Section {
    input: Options,
    output: Options,
    retrieval: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    patterns: Vec<String>,
    case_insensitive: bool,
}

fn compile(context: &CompileContext<'_>) -> Result<Judge, Vec<Fault>> {
    let section: Section = context
        .config
        .rails
        .section("regex_detection")
        .map_err(|fault| vec![fault])?;
    let (options, key) = match context.place {
        Place::Output => (section.output, "output"),
        Place::Retrieval => (section.retrieval, "retrieval"),
        _ => (section.input, "input"),
    };
    let place = |index: usize, message: String| {
        let path = format!("regex_detection.{key}.patterns[{index}]");
        context
            .config
            .rails
            .section_fault(&path, format!("rails.config.{path}: {message}"))
    };
    let patterns =
        Patterns::compile(&options.patterns, options.case_insensitive).map_err(|errors| {
            errors
                .into_iter()
                .map(|error| {
                    place(
                        error.index,
                        format!("the pattern cannot be compiled: {error}"),
                    )
                })
                .collect::<Vec<_>>()
        })?;
    let hold = patterns.hold_program(HoldLimits::default());
    let unusable: Vec<Fault> = hold
        .holdings()
        .iter()
        .enumerate()
        .filter_map(|(index, holding)| match holding {
            Holding::Empty => Some(place(
                index,
                "the pattern matches the empty text, so that it would block everything".into(),
            )),
            Holding::TooLarge => Some(place(
                index,
                "the pattern is too large to be followed in a stream".into(),
            )),
            _ => None,
        })
        .collect();
    if !unusable.is_empty() {
        return Err(unusable);
    }
    Ok(Judge::Patterns(Arc::new(PatternRail {
        patterns,
        hold: Arc::new(hold),
    })))
}
