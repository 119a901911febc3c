//! `guardrailsai check input $validator=x`, `guardrailsai check output $validator=x`: validators of Guardrails AI.
//!
//! - What it checks: those that need nothing but the text run here (`competitor_check`, `one_line`, `regex_match`, `valid_json`,
//!   `valid_length`); a line that names another one does not load.
//! - Config: `rails.config.guardrails_ai.validators`.
//! - On block: the refusal to respond.

mod validators;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::validators::Validator;
use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Rail, RailAction, Reach,
    Section, Unusable,
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const SECTION: &str = "guardrails_ai";
const VALIDATE_INPUT: &str = "validate_guardrails_ai_input";
const VALIDATE_OUTPUT: &str = "validate_guardrails_ai_output";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "guardrails_ai",
    about: "Runs the validators of Guardrails AI that need nothing but the text",
    flows: &[
        Flow::new("guardrailsai check input", Place::Input, VALIDATE_INPUT)
            .arguments(&[
                ("validator", Bound::Parameter("validator")),
                ("text", Bound::Variable("user_message")),
            ])
            .result("result")
            .exception("GuardrailsAIException", "$msg")
            .colang1(include_str!("input.co")),
        Flow::new("guardrailsai check output", Place::Output, VALIDATE_OUTPUT)
            .arguments(&[
                ("validator", Bound::Parameter("validator")),
                ("text", Bound::Variable("bot_message")),
            ])
            .result("result")
            .exception("GuardrailsAIException", "$msg")
            .colang1(include_str!("output.co")),
    ],
    actions: &[
        RailAction::new(VALIDATE_INPUT).answers(Answers::Metadata),
        RailAction::new(VALIDATE_OUTPUT).answers(Answers::Metadata),
    ],
    section: Some(Section {
        key: SECTION,
        keys: &[
            Key::new(
                "validators[].name",
                "text",
                "",
                "competitor_check, one_line, regex_match, valid_json or valid_length",
            ),
            Key::new(
                "validators[].parameters",
                "mapping",
                "{}",
                "competitors; regex, match_type (fullmatch or search); min, max (in code points); on_fail (noop or exception)",
            ),
            Key::new(
                "validators[].metadata",
                "mapping",
                "{}",
                "more parameters, which go before the others",
            ),
        ],
    }),
    needs: &[],
    messages: &[],
    build,
};

/// `rails.config.guardrails_ai`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    validators: Vec<Configured>,
}

#[derive(Debug, Deserialize)]
struct Configured {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// The validators by their names, each ready to run or with what is wrong with it.
#[derive(Debug)]
struct GuardrailsAi {
    validators: Vec<(String, Result<Arc<Validator>, String>)>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section(SECTION);
    let settings: Settings = settings.map_err(|fault| vec![fault])?;
    let validators = settings.validators.into_iter().map(|configured| {
        let Configured {
            name,
            mut parameters,
            metadata,
        } = configured;
        parameters.extend(metadata);
        let validator = Validator::read(&name, parameters).map(Arc::new);
        (name, validator)
    });
    Ok(Arc::new(GuardrailsAi {
        validators: validators.collect(),
    }))
}

impl GuardrailsAi {
    /// The first validator of this name.
    fn get(&self, name: &str) -> Option<&Result<Arc<Validator>, String>> {
        let found = self.validators.iter().find(|(known, _)| known == name);
        found.map(|(_, validator)| validator)
    }

    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let name = call.required("validator")?;
        let validator = self
            .get(&name)
            .ok_or_else(|| call.failed(not_configured(&name)))?
            .as_ref()
            .map_err(|message| call.failed(message.clone()))?;
        let variable = if call.action() == VALIDATE_INPUT {
            "user_message"
        } else {
            "bot_message"
        };
        let text = call.text("text").filter(|text| !text.is_empty());
        let text = text.or_else(|| call.variable_text(variable));
        let text = text
            .filter(|text| !text.is_empty())
            .ok_or_else(|| call.failed("there is no text to validate"))?;
        let validator = Arc::clone(validator);
        let valid = call.compute(&text, move |text, stop| validator.passes(text, stop));
        let valid = valid.await?.map_err(|error| call.failed(error))?;
        Ok(Finding::block_if(!valid)
            .with("validation_result", json!({"validation_passed": valid}))
            .with("valid", valid))
    }
}

fn not_configured(name: &str) -> String {
    format!("the validator `{name}` is not in `rails.config.guardrails_ai.validators`")
}

impl Check for GuardrailsAi {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Whole
    }

    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let Some(name) = line.parameter("validator") else {
            let message = format!("`{}` needs a validator: `$validator=...`", flow.name);
            return Err(Unusable::Unready(vec![message]));
        };
        match self.get(name) {
            Some(Ok(_)) => Ok(()),
            Some(Err(message)) => Err(Unusable::Invalid(vec![message.clone()])),
            None => Err(Unusable::Unready(vec![not_configured(name)])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::verdict::Outcome;

    const CONFIG: &str = "rails: {config: {guardrails_ai: {validators: [\
        {name: valid_length, parameters: {min: 1, max: 9}, metadata: {max: 5}}, \
        {name: one_line}, {name: toxic_language}]}}}";

    #[tokio::test]
    async fn the_line_names_the_validator() {
        let trial = Trial::new(&RAIL, CONFIG, &[], vec![]).await;
        let long = "guardrailsai check input $validator=\"valid_length\"";
        assert_eq!(trial.judge(long, "short").await.unwrap(), Outcome::Allow);
        let Outcome::Block(block) = trial.judge(long, "longer").await.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("I'm sorry, I can't respond to that.")
        );
        let line = "guardrailsai check output $validator=\"one_line\"";
        assert_eq!(trial.judge(line, "a b").await.unwrap(), Outcome::Allow);
        let two = trial.judge(line, "a\nb").await.unwrap();
        assert!(matches!(two, Outcome::Block(_)), "{two:?}");
        assert!(trial.judge(line, "").await.is_err());
    }

    #[test]
    fn lines_that_cannot_run() {
        let read = |name: &str| {
            (
                name.to_owned(),
                Validator::read(name, Map::new()).map(Arc::new),
            )
        };
        let rail = GuardrailsAi {
            validators: vec![read("one_line"), read("toxic_language")],
        };
        let accept = |parameter: &str| {
            let line = FlowReference::parse(&format!("guardrailsai check input{parameter}"));
            rail.accept(&RAIL.flows[0], &line)
        };
        assert_eq!(accept(" $validator=\"one_line\""), Ok(()));
        let toxic = accept(" $validator=\"toxic_language\"");
        assert!(matches!(toxic, Err(Unusable::Invalid(_))), "{toxic:?}");
        for other in ["", " $validator=\"valid_json\""] {
            let refused = accept(other);
            assert!(matches!(refused, Err(Unusable::Unready(_))), "{refused:?}");
        }
    }
}
