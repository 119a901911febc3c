//! `injection detection`: rules find code in what the bot says (SQL, templates, imports, scripts), which is refused or cut out.
//!
//! - Config: `rails.config.injection_detection`. Each of `injections` is a built-in group (`sqli`, `template`, `code`, `xss`), or one of
//!   one's own: a YARA text under `yara_rules`, or the file `<name>.yara` in the folder `yara_path`. Either takes the place of the
//!   built-in groups, and needs the cargo feature `yara` (on by default).
//! - On block: a sentence with the names of the rules. `action: omit` cuts out what the rules found, and blocks only where the rules
//!   match what is left.

mod builtin;
mod omit;
#[cfg(test)]
mod tests;
#[cfg(feature = "yara")]
mod yara;

use std::{borrow::Cow, ops::Range, path::Path, sync::Arc};

use futures_core::future::BoxFuture;
use indexmap::IndexMap;
use serde::Deserialize;

use self::{
    builtin::Group,
    omit::{Budget, cut},
};
use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Part, Rail, RailAction,
    Reach, Section, Unusable,
};
use crate::{
    config::FlowReference,
    error::{BoxError, Error, Fault},
    verdict::Place,
};

const SECTION: &str = "injection_detection";
const DETECT: &str = "injection_detection";
const INFORM: &str = "inform injection detected";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "injection_detection",
    about: "Blocks, or cuts out, code in what the bot says: SQL, templates, imports, scripts",
    flows: &[Flow::new("injection detection", Place::Output, DETECT)
        .arguments(&[("text", Bound::Variable("bot_message"))])
        .rewrites()
        .says(INFORM)
        .exception(
            "InjectionDetectionRailException",
            "Output not allowed. The output was blocked by the 'injection detection' flow.",
        )
        .colang1(include_str!("flow.co"))],
    actions: &[RailAction::new(DETECT).answers(Answers::Mapping(&[
        ("is_injection", Part::Metadata),
        ("text", Part::Metadata),
        ("detections", Part::Metadata),
    ]))],
    section: Some(Section {
        key: SECTION,
        keys: &[
            Key::new(
                "injections",
                "list of texts",
                "[]",
                "the groups of rules: sqli, template, code, xss, or one's own; none: everything passes",
            ),
            Key::new(
                "action",
                "reject or omit",
                "reject",
                "whether what the rules match is refused, or cut out",
            ),
            Key::new(
                "yara_path",
                "text",
                "",
                "the folder of one's own rules, a file <name>.yara a group",
            ),
            Key::new(
                "yara_rules",
                "texts by name",
                "{}",
                "one's own rules, a group a text; goes before yara_path",
            ),
        ],
    }),
    needs: &[],
    messages: &[(
        INFORM,
        "I'm sorry, the desired output triggered rule(s) designed to mitigate exploitation of {{ response.metadata.detections | join(', ') }}.",
    )],
    build,
};

/// `rails.config.injection_detection`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    injections: Vec<String>,
    action: Action,
    yara_path: Option<String>,
    yara_rules: Option<IndexMap<String, String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Reject,
    Omit,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Omit => "omit",
        }
    }
}

impl Settings {
    fn own_rules(&self) -> Option<&IndexMap<String, String>> {
        self.yara_rules.as_ref().filter(|rules| !rules.is_empty())
    }

    fn own_folder(&self) -> Option<&Path> {
        let path = self.yara_path.as_deref().filter(|path| !path.is_empty());
        path.map(Path::new)
    }

    /// The groups, each once.
    fn groups(&self) -> Vec<&str> {
        let mut groups = Vec::new();
        for name in &self.injections {
            if !groups.contains(&name.as_str()) {
                groups.push(name.as_str());
            }
        }
        groups
    }
}

/// The rules with what is done about their matches.
#[derive(Debug)]
struct InjectionDetection(Arc<Detection>);

#[derive(Debug)]
struct Detection {
    settings: Settings,
    /// The rules, or why there are none to run.
    rules: Result<Rules, String>,
}

#[derive(Debug)]
enum Rules {
    BuiltIn(Vec<builtin::Rule>),
    #[cfg(feature = "yara")]
    Yara(Box<yara::YaraRules>),
}

fn build(context: &BuildContext<'_>) -> Built {
    let rails = &context.config.rails;
    let settings: Settings = rails.section(SECTION).map_err(|fault| vec![fault])?;
    let rules = if settings.injections.is_empty() {
        tracing::warn!(
            "`rails.config.injection_detection.injections` is empty: nothing is detected"
        );
        Ok(Rules::BuiltIn(Vec::new()))
    } else if settings.own_rules().is_some() || settings.own_folder().is_some() {
        let fault = |key: &str, message: String| -> Fault {
            let path = format!("{SECTION}.{key}");
            rails.section_fault(&path, format!("`rails.config.{path}`: {message}"))
        };
        own_rules(&settings, &fault)?
    } else {
        built_in_rules(&settings)
    };
    let detection = Arc::new(Detection { settings, rules });
    Ok(Arc::new(InjectionDetection(detection)))
}

fn built_in_rules(settings: &Settings) -> Result<Rules, String> {
    let mut rules = Vec::new();
    for name in settings.groups() {
        let Some(group) = Group::by_name(name) else {
            let known = Group::ALL.map(Group::name).join(", ");
            return Err(format!(
                "`injections` names `{name}`, which is no built-in group of rules ({known}), and there are neither `yara_rules` nor a `yara_path`"
            ));
        };
        rules.extend_from_slice(group.rules());
    }
    Ok(Rules::BuiltIn(rules))
}

#[cfg(not(feature = "yara"))]
fn own_rules(
    settings: &Settings,
    fault: &dyn Fn(&str, String) -> Fault,
) -> Result<Result<Rules, String>, Vec<Fault>> {
    let key = if settings.own_rules().is_some() {
        "yara_rules"
    } else {
        "yara_path"
    };
    let message = "rules of one's own need the cargo feature `yara` of `tower-guardrails`";
    Err(vec![fault(key, message.to_owned())])
}

/// Compiles one's own rules. The outer error is one of the rules themselves; the inner one is that some are not there.
#[cfg(feature = "yara")]
fn own_rules(
    settings: &Settings,
    fault: &dyn Fn(&str, String) -> Fault,
) -> Result<Result<Rules, String>, Vec<Fault>> {
    let mut compiler = yara::YaraCompiler::new();
    let mut faults = Vec::new();
    for name in settings.groups() {
        if let Some(sources) = settings.own_rules() {
            let Some(source) = sources.get(name) else {
                return Ok(Err(format!(
                    "`injections` names `{name}`, which `yara_rules` does not have"
                )));
            };
            if let Err(error) = compiler.add(name, source) {
                let message = format!("the rules cannot be compiled: {error}");
                faults.push(fault(&format!("yara_rules.{name}"), message));
            }
        } else if let Some(folder) = settings.own_folder() {
            if !folder.is_dir() {
                let folder = folder.display();
                return Ok(Err(format!(
                    "`yara_path` is `{folder}`, which is no folder"
                )));
            }
            let file = folder.join(format!("{name}.yara"));
            if !file.is_file() {
                let file = file.display();
                return Ok(Err(format!(
                    "`injections` names `{name}`, but there is no file `{file}`"
                )));
            }
            if let Err(error) = compiler.add_file(name, &file) {
                let message = format!("the rules cannot be compiled: {error}");
                faults.push(fault("yara_path", message));
            }
        }
    }
    if faults.is_empty() {
        Ok(Ok(Rules::Yara(Box::new(compiler.finish()))))
    } else {
        Err(faults)
    }
}

impl Rules {
    /// The names of the rules that match, in the order of the groups.
    fn detections(&self, text: &str) -> Result<Vec<Cow<'static, str>>, BoxError> {
        match self {
            Self::BuiltIn(rules) => {
                let matching = rules.iter().filter(|rule| rule.matches(text));
                Ok(matching.map(|rule| rule.name().into()).collect())
            }
            #[cfg(feature = "yara")]
            Self::Yara(rules) => {
                let names = rules.detections(text)?.into_iter();
                Ok(names.map(Cow::Owned).collect())
            }
        }
    }

    /// What the rules that match found, in the order in which it is cut out.
    fn pieces(&self, text: &str, budget: &mut Budget) -> Result<Vec<Range<usize>>, BoxError> {
        match self {
            Self::BuiltIn(rules) => {
                let mut pieces = Vec::new();
                for rule in rules.iter().filter(|rule| rule.matches(text)) {
                    pieces.extend(rule.pieces(text, budget)?);
                }
                Ok(pieces)
            }
            #[cfg(feature = "yara")]
            Self::Yara(rules) => rules.pieces(text, budget),
        }
    }

    /// `text` without what the rules find, for as long as they find anything; none where they still do in the end.
    fn omit(&self, text: &str) -> Result<Option<String>, BoxError> {
        /// What is cut out may leave a match where its ends meet; who writes so writes for that.
        const ROUNDS: usize = 4;
        let mut budget = Budget::default();
        let mut left = text.to_owned();
        for _ in 0..ROUNDS {
            let pieces = self.pieces(&left, &mut budget)?;
            left = cut(&left, &pieces, &mut budget)?;
            if self.detections(&left)?.is_empty() {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }
}

impl Detection {
    fn check(&self, text: &str) -> Result<Finding, BoxError> {
        let rules = self.rules.as_ref().map_err(Clone::clone)?;
        let detections = rules.detections(text)?;
        let omitted = match self.settings.action {
            _ if detections.is_empty() => None,
            Action::Reject => None,
            Action::Omit => rules.omit(text)?,
        };
        let found = !detections.is_empty();
        let shown = omitted.as_deref().unwrap_or(text).to_owned();
        let finding = match omitted {
            Some(left) => Finding::rewrite("bot_message", left),
            None => Finding::block_if(found),
        };
        let names: Vec<String> = detections.into_iter().map(Cow::into_owned).collect();
        Ok(finding
            .with("is_injection", found)
            .with("text", shown)
            .with("detections", names)
            .with("action", self.settings.action.name()))
    }
}

impl Check for InjectionDetection {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            let text = call.required("text")?;
            let detection = Arc::clone(&self.0);
            let checked = call.compute(&text, move |text, _| detection.check(text));
            checked.await?.map_err(|error| call.failed(error))
        })
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Span
    }

    fn rewrites(&self, _: &Flow) -> bool {
        matches!(self.0.settings.action, Action::Omit)
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match &self.0.rules {
            Ok(_) => Ok(()),
            Err(reason) => Err(Unusable::Unready(vec![reason.clone()])),
        }
    }

    fn fingerprint(&self) -> String {
        format!("{:?}", self.0.settings)
    }
}
