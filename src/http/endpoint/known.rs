//! What is known of an endpoint by the name of its engine.

use super::{Environment, parameters::Parameters};
use crate::error::ModelError;

/// What is known of an endpoint before its parameters are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// The name under `engine:`, for messages.
    pub(crate) engine: &'a str,
    /// Where it answers, unless `base_url` says so; `{name}` is a hole.
    pub(crate) base_url: Option<&'a str>,
    /// What fills the holes of `base_url`.
    pub(crate) holes: &'a [Hole],
    /// The environment variables of its key, the first that is set counts, unless the configuration gives a key or names another.
    pub(crate) key_variables: &'a [&'a str],
    /// Whether its URLs name a deployment, and its key goes into `api-key`.
    pub(crate) azure: bool,
    /// The header of its key, where that is not `Authorization`.
    pub(crate) key_header: Option<&'a str>,
}

/// A part of an address that the configuration or the environment gives, such as a region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hole {
    /// Its name between the braces.
    pub(crate) name: &'static str,
    /// The parameters that may give it.
    pub(crate) parameters: &'static [&'static str],
    /// The environment variables that give it where no parameter does.
    pub(crate) variables: &'static [&'static str],
}

impl Hole {
    /// A hole.
    pub(crate) const fn new(
        name: &'static str,
        parameters: &'static [&'static str],
        variables: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            parameters,
            variables,
        }
    }
}

impl<'a> Known<'a> {
    /// Nothing is known.
    pub(crate) const NONE: Known<'static> = Known {
        engine: "",
        base_url: None,
        holes: &[],
        key_variables: &[],
        azure: false,
        key_header: None,
    };

    /// Sets what fills the holes of the address.
    pub(crate) const fn filled_by(mut self, holes: &'a [Hole]) -> Self {
        self.holes = holes;
        self
    }

    /// The address, its holes filled.
    ///
    /// # Errors
    ///
    /// Where it is not known, or nothing fills a hole.
    pub(super) fn address(
        &self,
        parameters: &mut Parameters<'_>,
        environment: Environment<'_>,
    ) -> Result<String, ModelError> {
        let given = parameters.text("base_url")?;
        let mut filled = Vec::new();
        for hole in self.holes {
            let mut value = None;
            for name in hole.parameters {
                // Taken also where it is not needed: it is no parameter of a request.
                let own = parameters.text(name)?;
                value = value.or(own);
            }
            let mut variables = hole.variables.iter();
            let value = value.or_else(|| {
                variables
                    .find_map(|name| environment(name).filter(|value| !value.trim().is_empty()))
            });
            filled.push((hole, value));
        }
        if let Some(given) = given {
            return Ok(given);
        }
        let Some(base_url) = self.base_url else {
            return Err(parameters.error(format!(
                "nothing is known of the engine `{}`: set `parameters.base_url` to where it answers as OpenAI does",
                self.engine
            )));
        };
        let mut address = base_url.to_owned();
        for (hole, value) in filled {
            let value = value.ok_or_else(|| {
                let variables: Vec<String> = hole.variables.iter().map(|name| format!("`{name}`")).collect();
                parameters.error(format!(
                    "where the engine `{}` answers is not known: set `parameters.{}`, the environment variable {}, or `parameters.base_url`",
                    self.engine,
                    hole.parameters.first().unwrap_or(&hole.name),
                    variables.join(" or ")
                ))
            })?;
            let value = value.trim();
            let value = value.split_once("://").map_or(value, |(_, host)| host);
            address = address.replace(&format!("{{{}}}", hole.name), value.trim_end_matches('/'));
        }
        Ok(address)
    }
}
