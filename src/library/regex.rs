//! `regex check input`, `regex check output`, `regex check retrieval`: patterns in Python's syntax; what they match is blocked.
//!
//! - Config: `rails.config.regex_detection.{input,output,retrieval}.{patterns, case_insensitive}`.
//! - On block: the refusal to respond.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Key, Part, PatternRail, Rail,
    RailAction, Section,
    source::{INPUT, OUTPUT, RETRIEVAL, of_source},
};
use crate::{
    compute::Pace,
    error::{Error, Fault},
    pattern::{HoldLimits, Holding, Patterns},
    verdict::Place,
};

const DETECT: &str = "detect_regex_pattern";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "regex",
    about: "Blocks texts that match one of the configured patterns",
    flows: &[
        Flow::new("regex check input", Place::Input, DETECT).arguments(INPUT),
        Flow::new("regex check output", Place::Output, DETECT).arguments(OUTPUT),
        // Chunks that match are dropped; the turn goes on without them.
        Flow::new("regex check retrieval", Place::Retrieval, DETECT)
            .arguments(RETRIEVAL)
            .only_rewrites(),
    ],
    actions: &[RailAction::system(DETECT).answers(Answers::Mapping(&[
        ("is_match", Part::Metadata),
        ("text", Part::Metadata),
        ("detections", Part::Metadata),
    ]))],
    section: Some(Section {
        key: "regex_detection",
        keys: &[
            Key::new(
                "input.patterns",
                "list of texts",
                "[]",
                "what users may not say",
            ),
            Key::new(
                "input.case_insensitive",
                "bool",
                "false",
                "whether letter case counts",
            ),
            Key::new(
                "output.patterns",
                "list of texts",
                "[]",
                "what the bot may not say",
            ),
            Key::new(
                "output.case_insensitive",
                "bool",
                "false",
                "whether letter case counts",
            ),
            Key::new(
                "retrieval.patterns",
                "list of texts",
                "[]",
                "what chunks may not hold",
            ),
            Key::new(
                "retrieval.case_insensitive",
                "bool",
                "false",
                "whether letter case counts",
            ),
        ],
    }),
    needs: &[],
    messages: &[],
    build,
};

/// `rails.config.regex_detection`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
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

/// The patterns of each source.
#[derive(Debug)]
struct Regex {
    input: Arc<PatternRail>,
    output: Arc<PatternRail>,
    retrieval: Arc<PatternRail>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let section: Settings = context
        .config
        .rails
        .section("regex_detection")
        .map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let mut compiled = |options: &Options, key: &str| {
        compile(context, options, key)
            .map_err(|found| faults.extend(found))
            .ok()
    };
    let input = compiled(&section.input, "input");
    let output = compiled(&section.output, "output");
    let retrieval = compiled(&section.retrieval, "retrieval");
    match (input, output, retrieval) {
        (Some(input), Some(output), Some(retrieval)) => Ok(Arc::new(Regex {
            input,
            output,
            retrieval,
        })),
        _ => Err(faults),
    }
}

fn compile(
    context: &BuildContext<'_>,
    options: &Options,
    key: &str,
) -> Result<Arc<PatternRail>, Vec<Fault>> {
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
    Ok(Arc::new(PatternRail {
        patterns,
        hold: Arc::new(hold),
        pace: Pace::default(),
    }))
}

impl Regex {
    async fn search(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let source = call.required("source")?;
        let (rail, _) = of_source(call, [&self.input, &self.output, &self.retrieval])?;
        let text = call.text("text").unwrap_or_default();
        let searched = Arc::clone(rail);
        let found = call.compute(&text, move |text, stop| {
            searched.patterns.matching_until(text, stop)
        });
        let found = found.await?.map_err(|error| call.failed(error))?;
        let detections: Vec<&str> = found
            .iter()
            .filter_map(|index| rail.patterns.source(*index))
            .collect();
        let finding = match (found.is_empty(), &*source) {
            (true, _) => Finding::allow(),
            (false, "retrieval") => Finding::rewrite("relevant_chunks", ""),
            (false, _) => Finding::block(),
        };
        Ok(finding
            .with("is_match", !found.is_empty())
            .with("text", &*text)
            .with("detections", detections)
            .with("source", &*source))
    }
}

impl Check for Regex {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.search(&call).await })
    }

    fn idle(&self, flow: &Flow) -> Option<String> {
        let (rail, key) = match flow.place {
            Place::Output => (&self.output, "output"),
            Place::Retrieval => (&self.retrieval, "retrieval"),
            _ => (&self.input, "input"),
        };
        rail.patterns.is_empty().then(|| {
            format!("`rails.config.regex_detection.{key}.patterns` lists no pattern to look for")
        })
    }

    fn patterns(&self, flow: &Flow) -> Option<Arc<PatternRail>> {
        match flow.place {
            Place::Input => Some(Arc::clone(&self.input)),
            Place::Output => Some(Arc::clone(&self.output)),
            _ => None,
        }
    }

    fn fingerprint(&self) -> String {
        let rails = [&self.input, &self.output, &self.retrieval];
        let patterns = rails.map(|rail| format!("{:?}", rail.patterns));
        patterns.join("\0")
    }
}
