//! What is wrong with rails beyond what keeps them from being built: what would guard nothing, or fail each time.
//!
//! [`LlmRails`](super::LlmRails) is built all the same, as the reference is; a layer does not start with it.

use super::{
    dialog::{Flows, v2},
    library_rails::LibraryRails,
    needed_actions::Provider,
    own_rails::OwnRails,
};
use crate::{
    config::{DialogRails, RailsConfig},
    error::{Fault, all_faults},
    library,
    verdict::Place,
};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What a layer refuses to start with.
    pub(crate) refused: Vec<Fault>,
    /// What is odd, though nothing passes unchecked for it.
    pub(crate) warnings: Vec<Fault>,
}

impl Findings {
    /// Looks at a configuration. `flows` is None where Colang is not looked at: in another version.
    pub(super) fn of(
        library: &LibraryRails,
        flows: Option<&Flows>,
        provider: &dyn Fn(&str) -> Provider,
    ) -> Self {
        let config = &library.config;
        let mut refused = config.unknown_rails_keys();
        // Where a key is mistyped, that is why there is no rail.
        if refused.is_empty() {
            refused.extend(nothing_to_guard(config, flows));
        }
        refused.extend(library::unknown_keys(&config.rails.config));
        refused.extend(library.prompts.warnings());
        match flows {
            Some(Flows::V1(flows)) => {
                refused.extend(flows.broken().iter().cloned());
                let own = OwnRails {
                    flows,
                    library,
                    provider,
                };
                refused = all_faults(refused, own.faults());
            }
            Some(Flows::V2(flows)) => {
                refused = all_faults(refused, v2::refused(flows, config, provider));
            }
            None => {}
        }
        let mut warnings = Vec::new();
        for warning in config.mere_warnings() {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Self { refused, warnings }
    }
}

/// That there is no rail.
fn nothing_to_guard(config: &RailsConfig, flows: Option<&Flows>) -> Option<Fault> {
    let has_rail = |flows: &Flows| {
        let mut places = [Place::Input, Place::Output].into_iter();
        places.any(|place| !flows.rails(config, place).is_empty())
    };
    if config.rails.lines().next().is_some() || flows.is_some_and(has_rail) {
        return None;
    }
    if flows.is_some_and(|flows| takes_turns(config, flows)) {
        return None;
    }
    let message = "there is no rail and no dialogue: nothing would be checked. Name rails in `rails.input.flows` or `rails.output.flows`";
    Some(of_the_whole(config, message))
}

/// A fault of the configuration as a whole.
pub(super) fn of_the_whole(config: &RailsConfig, message: &str) -> Fault {
    let fault = config.fault("rails", message);
    match (&fault.file, &config.config_path) {
        (None, Some(path)) if fault.line.is_none() => fault.in_file(path),
        _ => fault,
    }
}

/// Whether something of the configuration takes a whole turn, beside rails.
pub(super) fn takes_turns(config: &RailsConfig, flows: &Flows) -> bool {
    flows.has_dialogue()
        || flows.runs_turns()
            && (!config.docs.is_empty() || config.rails.dialog != DialogRails::default())
}
