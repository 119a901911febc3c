//! What a layer has a turn run for: the dialogue of a configuration, and the rails that only a whole turn runs.

use super::{
    LlmRails,
    dialog::{Attachments, Flows},
    findings::of_the_whole,
    options::{GenerationOptions, LogOptions, RailSwitch, RailsOptions},
    response::{GenerationRequest, GenerationResponse},
    turn,
};
use crate::{
    config::DialogueModel,
    error::{Fault, Result},
    message::Message,
    verdict::Place,
};

impl LlmRails {
    /// Whether the dialogue asks the configuration's own main model.
    pub(crate) fn asks_own_model(&self) -> bool {
        self.config().dialogue == DialogueModel::OwnModel
    }

    /// What is wrong where no turn is run.
    pub(crate) fn faults_without_turns(&self) -> Vec<Fault> {
        let plan = self.plan();
        let mut faults = plan.turn.faults.clone();
        let sets = [&plan.input, &plan.output, &plan.results, &plan.calls];
        if faults.is_empty() && plan.refused.is_empty() && sets.iter().all(|set| set.is_empty()) {
            let message = "there is a dialogue but no rail, and the dialogue is switched off: nothing would be checked. Name rails in `rails.input.flows` or `rails.output.flows`, or leave the dialogue on";
            faults.push(of_the_whole(self.config(), message));
        }
        faults
    }

    /// Answers `messages` by a turn in which only those rails run that need one: the caller runs the others.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub(crate) async fn converse(
        &self,
        messages: Vec<Message>,
        llm_params: serde_json::Map<String, serde_json::Value>,
        attachments: Attachments,
    ) -> Result<GenerationResponse> {
        let turn = &self.plan().turn;
        let options = GenerationOptions {
            rails: RailsOptions {
                input: RailSwitch::Only(turn.at(Place::Input)),
                output: RailSwitch::Only(turn.at(Place::Output)),
                tool_input: RailSwitch::All(false),
                tool_output: RailSwitch::All(false),
                ..RailsOptions::default()
            },
            llm_params: (!llm_params.is_empty()).then_some(llm_params),
            log: LogOptions {
                activated_rails: true,
                ..LogOptions::default()
            },
            ..GenerationOptions::default()
        };
        let request = GenerationRequest::new(messages).options(options);
        turn::generate(self.engine(), request, attachments).await
    }

    /// Whether rails of the turn itself read the answer, so that it cannot leave before the turn has ended.
    pub(crate) fn judges_answers_in_turns(&self) -> bool {
        !self.plan().turn.at(Place::Output).is_empty()
            || matches!(self.engine().flows, Flows::V2(_))
    }
}
