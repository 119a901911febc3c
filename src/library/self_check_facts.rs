//! `self check facts`: a chat model says whether the answer follows from the chunks that the knowledge base found.
//!
//! - Runs only in turns that set `$check_facts` to true.
//! - On block: the refusal to respond. Without chunks there is nothing to check: the answer passes.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Need, Rail, RailAction, Unusable,
    chat::{Chat, given, is_empty},
};
use crate::{config::FlowReference, error::Error, llm::Verdict, verdict::Place};

const TASK: &str = "self_check_facts";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "self_check_facts",
    about: "Asks a model whether an answer follows from the retrieved chunks",
    flows: &[Flow::new("self check facts", Place::Output, TASK)
        .only_if("check_facts")
        .needs_variable("relevant_chunks")
        .exception(
            "FactCheckRailException",
            "Fact check failed. The accuracy of the previous answer was below the required threshold.",
        )],
    actions: &[RailAction::new(TASK).answers(Answers::Entry("accuracy"))],
    section: None,
    needs: &[
        Need::Prompt(TASK),
        Need::Model("self_check_facts, else main"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct Facts {
    chat: Chat,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(Facts {
        chat: Chat::new(context),
    }))
}

/// How well an answer follows from `evidence`, as the first model of `kinds` that there is, else the main one, sees it: 1 or 0.
///
/// # Errors
///
/// Where the model or the prompt's parser fails.
pub(super) async fn accuracy(
    chat: &Chat,
    call: &Call<'_>,
    kinds: &[&str],
    evidence: Value,
    response: Value,
) -> Result<f64, Error> {
    let variables = [("evidence", evidence), ("response", response)];
    let temperature = chat.lowest_temperature();
    let answer = chat
        .verdict(call, TASK, kinds, temperature, &variables)
        .await?;
    // The prompt asks whether the answer is true to the evidence: what the parser takes for harmful is a yes.
    let is_clear = answer.verdict != Verdict::Unclear && !answer.is_truncated;
    Ok(if is_clear && !answer.verdict.is_safe() {
        1.0
    } else {
        0.0
    })
}

impl Facts {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let evidence = given(call, "relevant_chunks");
        let accuracy = if is_empty(&evidence) {
            1.0
        } else {
            let response = given(call, "bot_message");
            accuracy(&self.chat, call, &[TASK], evidence, response).await?
        };
        Ok(Finding::block_if(accuracy < 0.5).with("accuracy", accuracy))
    }
}

impl Check for Facts {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn asks<'a>(&self, _: &'a Flow, _: &'a FlowReference) -> Vec<&'a str> {
        vec![TASK]
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.chat.accept(TASK)
    }

    fn is_steady(&self, _: &Flow) -> bool {
        false
    }
}
