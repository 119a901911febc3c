//! `detect sensitive data on input/output/retrieval`, `mask sensitive data on input/output/retrieval`: personal data, by
//! patterns with check digits.
//!
//! - Service: none for what patterns find. Names of people and places, and dates, are found by a Presidio analyzer, where
//!   `analyzer_url` gives one; without it, a configuration that lists them does not load.
//! - Config: `rails.config.sensitive_data_detection`.
//! - On block: "I don't know the answer to that."; masking rewrites the text. An analyzer that fails, blocks.
//!
//! The entities are those of Presidio 2.2, in [`entities`]: each has patterns with scores, words that make a match likelier
//! where they stand before it ([`context`]), and often a check. What scores as much as `score_threshold` says, counts.

mod analyzer;
mod checksums;
mod context;
mod crypto;
mod detect;
mod entities;
mod entity;
mod iban;
mod mask;
#[cfg(feature = "phone-numbers")]
mod phone;
#[cfg(feature = "phone-numbers")]
mod phone_plans;
mod settings;
mod settle;
mod view;
mod web;

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_core::future::BoxFuture;

use self::{
    analyzer::Analyzer,
    detect::Found,
    settings::{SECTION, Settings, Source},
};
use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key,
    Need, Rail, RailAction, Reach, Rewriter, Rewritten, Section, Unusable,
    pii::flows,
    service::Service,
    source::{by_name, of_source},
};
use crate::{compute::Stop, config::FlowReference, error::Error};

const DETECT: &str = "detect_sensitive_data";
const MASK: &str = "mask_sensitive_data";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "sensitive_data",
    about: "Blocks or masks sensitive data, such as card numbers and addresses",
    flows: &flows(
        (
            DETECT,
            [
                "detect sensitive data on input",
                "detect sensitive data on output",
                "detect sensitive data on retrieval",
            ],
        ),
        INFORM_ANSWER_UNKNOWN,
        (
            MASK,
            [
                "mask sensitive data on input",
                "mask sensitive data on output",
                "mask sensitive data on retrieval",
            ],
        ),
    ),
    actions: &[
        RailAction::system(DETECT).answers(Answers::Found),
        RailAction::system(MASK).answers(Answers::Text),
    ],
    section: Some(Section {
        key: SECTION,
        keys: &[
            Key::new(
                "recognizers",
                "list of recognizers",
                "[]",
                "own entities, as Presidio's recognizers without code: supported_entity, patterns, deny_list, context",
            ),
            Key::new(
                "analyzer_url",
                "URL",
                "",
                "the Presidio analyzer that finds the entities which patterns cannot",
            ),
            Key::new(
                "input.entities",
                "list of texts",
                "[]",
                "what to find in what comes in, by the names of Presidio's entities",
            ),
            Key::new(
                "input.mask_token",
                "text",
                "*",
                "what an entity is masked with; `*`: its name in angle brackets",
            ),
            Key::new(
                "input.score_threshold",
                "float",
                "0.2, masking 0.4",
                "how sure a match must be, from 0 to 1",
            ),
            Key::new(
                "output.entities",
                "list of texts",
                "[]",
                "the same for what goes out",
            ),
            Key::new(
                "output.mask_token",
                "text",
                "*",
                "the same for what goes out",
            ),
            Key::new(
                "output.score_threshold",
                "float",
                "0.2, masking 0.4",
                "the same for what goes out",
            ),
            Key::new(
                "retrieval.entities",
                "list of texts",
                "[]",
                "the same for chunks",
            ),
            Key::new("retrieval.mask_token", "text", "*", "the same for chunks"),
            Key::new(
                "retrieval.score_threshold",
                "float",
                "0.2, masking 0.4",
                "the same for chunks",
            ),
        ],
    }),
    needs: &[Need::Service(
        "Presidio analyzer",
        "POST to `analyzer_url`/analyze, for what patterns cannot find",
    )],
    messages: &[],
    build,
};

/// What looks for the entities of each place.
struct SensitiveData {
    input: Arc<Source>,
    output: Arc<Source>,
    retrieval: Arc<Source>,
    /// What finds the rest; else why the worker does not.
    analyzer: Result<Analyzer, Option<String>>,
    fingerprint: String,
}

impl fmt::Debug for SensitiveData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words of recognizers are what no log should hold.
        f.debug_struct("SensitiveData").finish_non_exhaustive()
    }
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings: Settings = context
        .config
        .rails
        .section(SECTION)
        .map_err(|fault| vec![fault])?;
    let mut faults = settings::faults(context, &settings);
    let mut source = |options, key| {
        let source = Source::new(context, &settings, options, key).unwrap_or_else(|found| {
            faults.extend(found);
            Source::default()
        });
        Arc::new(source)
    };
    let (input, output, retrieval) = (
        source(&settings.input, "input"),
        source(&settings.output, "output"),
        source(&settings.retrieval, "retrieval"),
    );
    let asked = [&input, &output, &retrieval].map(|source| &source.asked);
    let analyzer = analyzer(context, &settings, asked);
    let rail = SensitiveData {
        input,
        output,
        retrieval,
        analyzer,
        fingerprint: format!("{settings:?}"),
    };
    if faults.is_empty() {
        Ok(Arc::new(rail))
    } else {
        Err(faults)
    }
}

/// What finds the entities that no pattern finds, else why nothing does.
fn analyzer(
    context: &BuildContext<'_>,
    settings: &Settings,
    asked: [&Vec<String>; 3],
) -> Result<Analyzer, Option<String>> {
    if let Some(url) = settings.analyzer_url.as_deref() {
        return Ok(Analyzer::new(Service::new(context), url));
    }
    let mut asked: Vec<&str> = asked.into_iter().flatten().map(String::as_str).collect();
    asked.sort_unstable();
    asked.dedup();
    match context.python {
        Some(python) if !asked.is_empty() => Analyzer::lent(python, &asked).map_err(Some),
        _ => Err(None),
    }
}

impl SensitiveData {
    fn each(&self) -> [&Arc<Source>; 3] {
        [&self.input, &self.output, &self.retrieval]
    }

    fn source(&self, name: &str) -> Option<&Arc<Source>> {
        by_name(name, self.each())
    }

    /// What is wrong with a source's entities, where something is.
    fn unusable(&self, name: &str) -> Option<String> {
        let asked = &self.source(name)?.asked;
        let why = match &self.analyzer {
            Err(why) if !asked.is_empty() => why.as_deref(),
            _ => return None,
        };
        let why = why.map_or_else(String::new, |why| format!(" (the worker does not: {why})"));
        Some(format!(
            "rails.config.{SECTION}.{name}.entities: no pattern finds {}; set rails.config.{SECTION}.analyzer_url to a \
             Presidio analyzer that does, or `python: {{interpreter: python3}}` to one with presidio-analyzer and spaCy's \
             en_core_web_lg{why}",
            asked.join(", ")
        ))
    }

    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let name = call.required("source")?;
        let (source, target) = of_source(call, self.each())?;
        if let Some(message) = self.unusable(&name) {
            return Err(call.failed(message));
        }
        // Without chunks there is no text; what is no text cannot be judged.
        let text = match call.argument("text") {
            None => Cow::default(),
            Some(_) => call.required("text")?,
        };
        let masks = call.action() == MASK;
        let found = self
            .find(call, source, &text, source.threshold(masks))
            .await?;
        if !masks {
            let has_sensitive_data = !found.is_empty();
            return Ok(Finding::block_if(has_sensitive_data)
                .with("has_sensitive_data", has_sensitive_data));
        }
        let masked = mask::masked(&text, found, |entity| source.mask(entity));
        let masked = masked.filter(|masked| *masked != text);
        let finding = match &masked {
            Some(masked) => Finding::rewrite(target, masked.as_str()),
            None => Finding::allow(),
        };
        let masked = masked.as_deref().unwrap_or(&text);
        Ok(finding
            .with("source", &*name)
            .with("text", &*text)
            .with("masked_text", masked))
    }

    async fn find(
        &self,
        call: &Call<'_>,
        source: &Arc<Source>,
        text: &str,
        threshold: f64,
    ) -> Result<Vec<Found>, Error> {
        let detector = &source.detector;
        let searched = Arc::clone(source);
        let found = call.compute(text, move |text, stop| {
            searched.detector.find(text, threshold, stop)
        });
        let mut found = found.await?.map_err(|error| call.failed(error))?;
        if let Some(analyzer) = self
            .analyzer
            .as_ref()
            .ok()
            .filter(|_| !source.asked.is_empty())
        {
            let more = analyzer.find(text, &source.asked, &detector.entities, threshold);
            found.extend(more.await.map_err(|error| call.failed(error))?);
        }
        Ok(found)
    }
}

impl Check for SensitiveData {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn idle(&self, flow: &Flow) -> Option<String> {
        let name = source_of(flow)?;
        let source = self.source(name)?;
        let is_empty = source.asked.is_empty() && source.detector.entities.is_empty();
        is_empty
            .then(|| format!("`rails.config.{SECTION}.{name}.entities` lists nothing to look for"))
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Span
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match source_of(flow).and_then(|source| self.unusable(source)) {
            Some(message) => Err(Unusable::Invalid(vec![message])),
            None => Ok(()),
        }
    }

    fn rewriter(&self, flow: &Flow) -> Option<Arc<dyn Rewriter>> {
        if flow.action != MASK {
            return None;
        }
        let source = self.source(source_of(flow)?)?;
        source.is_settled_early().then(|| Arc::clone(source) as _)
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// The argument `source` of a flow.
fn source_of(flow: &Flow) -> Option<&'static str> {
    flow.arguments.iter().find_map(|(name, bound)| match bound {
        Bound::Literal(source) if *name == "source" => Some(*source),
        _ => None,
    })
}

impl Rewriter for Source {
    fn rewrite(&self, text: &str, from: usize, is_whole: bool) -> Result<Rewritten, Error> {
        let upto = if is_whole {
            text.len()
        } else {
            self.detector.rule().settled(text).max(from)
        };
        if upto <= from {
            return Ok(Rewritten {
                text: String::new(),
                upto,
            });
        }
        // Nothing before decides what is found from `from` on.
        let begin = settle::begin(text, from);
        let seen = text.get(begin..).unwrap_or_default();
        let found = self
            .detector
            .find(seen, self.threshold(true), &Stop::default());
        let found = found.map_err(|error| Error::Rail {
            rail: MASK.to_owned(),
            source: error.into(),
        })?;
        let part = from - begin..upto - begin;
        let text = mask::masked_within(seen, found, part, |entity| self.mask(entity));
        Ok(Rewritten { text, upto })
    }
}

/// The year of today, in Greenwich.
fn this_year() -> u32 {
    let days = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    // A mean year is close enough but for a few hours around New Year.
    u32::try_from(1970 + days * 400 / 146_097).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
