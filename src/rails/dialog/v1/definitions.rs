//! What a configuration itself defines in YAML and in Colang 1.0 files.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::{
    colang::v1::{self, Flow},
    config::RailsConfig,
    error::Fault,
};

/// The flows and messages of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Those of YAML files first; of several flows of a name the first counts.
    pub(crate) flows: Vec<Defined>,
    /// What users may mean, with examples.
    pub(crate) user_messages: IndexMap<String, Vec<String>>,
    /// What the bot says, by intent.
    pub(crate) bot_messages: IndexMap<String, Vec<String>>,
    /// What is odd, with its place.
    pub(crate) warnings: Vec<Fault>,
}

/// A flow with the file that defines it.
#[derive(Debug)]
pub(crate) struct Defined {
    /// The flow.
    pub(crate) flow: Flow,
    /// The Colang file; none where a YAML file defines it.
    pub(crate) file: Option<PathBuf>,
}

impl Definitions {
    /// What `config` defines, as far as it can be read, and all that is wrong in its Colang files.
    pub(crate) fn of(config: &RailsConfig) -> (Self, Vec<Fault>) {
        let mut definitions = Self {
            user_messages: config.user_messages.clone(),
            bot_messages: config.bot_messages.clone(),
            ..Self::default()
        };
        // What is wrong with a flow in YAML is a fault of the configuration already.
        let in_yaml = config.flows.iter().map(v1::flow_of_yaml);
        let in_yaml = in_yaml.filter_map(Result::ok);
        definitions
            .flows
            .extend(in_yaml.map(|flow| Defined { flow, file: None }));
        let mut faults = Vec::new();
        // The file that is read first comes last, and so its messages win.
        for file in config.colang_files.iter().rev() {
            let (parsed, wrong) = v1::parse(&file.path.to_string_lossy(), &file.text);
            faults.extend(wrong);
            definitions.user_messages.extend(parsed.user_messages);
            definitions.bot_messages.extend(parsed.bot_messages);
            definitions.warnings.extend(parsed.warnings);
            let flows = parsed.flows.into_iter().map(|flow| Defined {
                flow,
                file: Some(file.path.clone()),
            });
            definitions.flows.extend(flows);
        }
        (definitions, faults)
    }
}
