//! `rails.config.hf_classifier.NAME`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    actions::Lent,
    error::Fault,
    http::{Secret, Tls},
    library::{
        BuildContext,
        service::{Service, key},
    },
};

/// What a local classifier takes.
const LOCAL: &str = "`engine: local` runs in a Python worker whose interpreter has `transformers` and `torch`: set \
     `python: {interpreter: python3}` in the configuration; or serve the classifier by `vllm`, `kserve` or `fms`";

/// How long a server may take, in seconds.
const TIMEOUT: f64 = 30.0;

/// A section as written.
#[derive(Deserialize)]
pub(super) struct Settings {
    engine: Engine,
    model: String,
    #[serde(default = "half")]
    threshold: f64,
    #[serde(default)]
    blocked_labels: Vec<String>,
    base_url: Option<String>,
    api_key_env_var: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    /// What a local classifier says of a text: `text-classification`, or `token-classification`.
    #[serde(default = "of_texts")]
    task: String,
}

fn of_texts() -> String {
    "text-classification".to_owned()
}

fn half() -> f64 {
    0.5
}

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Vllm,
    Kserve,
    Fms,
    Local,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    timeout: Option<f64>,
    verify_ssl: Option<bool>,
    ca_cert: Option<String>,
    client_cert: Option<String>,
    client_key: Option<String>,
    /// What a local classifier's pipeline is made with.
    #[serde(flatten)]
    of_pipeline: Map<String, Value>,
}

/// A classifier that can be asked.
#[derive(Debug)]
pub(super) struct Classifier {
    pub(super) engine: Engine,
    pub(super) model: String,
    pub(super) url: String,
    pub(super) threshold: f64,
    pub(super) blocked_labels: Vec<String>,
    pub(super) key: Option<Secret>,
    /// Else why its certificates cannot be used.
    pub(super) service: Result<Service, String>,
    /// A local one, else why there is none.
    pub(super) local: Result<Lent, String>,
}

impl Classifier {
    /// The classifier `name`.
    ///
    /// # Errors
    ///
    /// All that is wrong with its section.
    pub(super) fn new(
        context: &BuildContext<'_>,
        name: &str,
        settings: Settings,
    ) -> Result<Self, Vec<Fault>> {
        let timeout = settings.parameters.timeout.unwrap_or(TIMEOUT);
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let faults = faults(context, name, &settings, timeout);
        if !faults.is_empty() {
            return Err(faults);
        }
        if settings.blocked_labels.is_empty() {
            tracing::warn!(
                classifier = name,
                "`blocked_labels` is empty: the classifier blocks nothing"
            );
        }
        let service = Service::new(context).timeout(timeout);
        let service = match tls(&settings.parameters) {
            Ok(None) => Ok(service),
            Ok(Some(tls)) => Ok(service.tls(tls)),
            Err(message) => Err(format!("`rails.config.hf_classifier.{name}`: {message}")),
        };
        let local = match settings.engine {
            Engine::Local => local(context, &settings),
            _ => Err(LOCAL.to_owned()),
        };
        let variable = settings.api_key_env_var.as_deref();
        let url = settings.base_url.unwrap_or_default();
        Ok(Self {
            engine: settings.engine,
            model: settings.model,
            url: url.trim_end_matches('/').to_owned(),
            threshold: settings.threshold,
            blocked_labels: settings.blocked_labels,
            key: variable.and_then(|variable| key(context, variable)),
            service,
            local,
        })
    }
}

/// Has the worker make the classifier ready.
///
/// # Errors
///
/// Why it cannot, and what would.
fn local(context: &BuildContext<'_>, settings: &Settings) -> Result<Lent, String> {
    let python = context.python.ok_or(LOCAL)?;
    let asked = json!({
        "model": settings.model,
        "task": settings.task,
        "parameters": settings.parameters.of_pipeline,
    });
    let lent = python.lend("classifier", asked);
    lent.map_err(|why| format!("the worker cannot run it: {why}. {LOCAL}"))
}

fn faults(
    context: &BuildContext<'_>,
    name: &str,
    settings: &Settings,
    timeout: Duration,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, message: &str| {
        let path = format!("hf_classifier.{name}.{key}");
        let message = format!("`rails.config.{path}` {message}");
        faults.push(context.config.rails.section_fault(&path, message));
    };
    if settings.model.is_empty() {
        fault("model", "must not be empty");
    }
    if !(0.0..=1.0).contains(&settings.threshold) {
        fault("threshold", "must be between 0 and 1");
    }
    if settings.engine == Engine::Local {
        return faults;
    }
    if timeout.is_zero() {
        fault("parameters.timeout", "must be greater than 0");
    }
    let url = settings.base_url.as_deref().unwrap_or_default();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        fault("base_url", "must begin with `http://` or `https://`");
    }
    let Some(variable) = settings.api_key_env_var.as_deref() else {
        return faults;
    };
    let is_name = variable
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !variable.starts_with(|first: char| first.is_ascii_digit())
        && !variable.is_empty();
    if !is_name {
        fault("api_key_env_var", "must name an environment variable");
    }
    if !url.starts_with("https://") {
        fault(
            "base_url",
            "must begin with `https://`, since there is a key to send",
        );
    }
    faults
}

/// What the parameters say of certificates; none where nothing.
fn tls(parameters: &Parameters) -> Result<Option<Tls>, String> {
    let Parameters {
        verify_ssl,
        ca_cert,
        client_cert,
        client_key,
        timeout: _,
        of_pipeline: _,
    } = parameters;
    let (mut tls, mut is_usual) = (Tls::default(), true);
    let path = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
    let read = |key: &str, path: &str| {
        std::fs::read(path).map_err(|error| format!("`{key}`: `{path}` cannot be read: {error}"))
    };
    if *verify_ssl == Some(false) {
        tracing::warn!("`verify_ssl` is off: the classifier's server need not prove who it is");
        (tls, is_usual) = (tls.accept_any(), false);
    } else if let Some(path) = path(ca_cert) {
        let roots = tls.roots(&read("ca_cert", &path)?);
        let wrong = |error| format!("`ca_cert`: `{path}` is no PEM bundle: {error}");
        (tls, is_usual) = (roots.map_err(wrong)?, false);
    }
    match (path(client_cert), path(client_key)) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let certificate = read("client_cert", &certificate)?;
            let identity = tls.identity(&certificate, &read("client_key", &key)?);
            let wrong =
                |error| format!("`client_cert` and `client_key` are no PEM certificate: {error}");
            (tls, is_usual) = (identity.map_err(wrong)?, false);
        }
        (Some(_), None) => return Err("`client_cert` needs `client_key`".to_owned()),
        (None, Some(_)) => return Err("`client_key` needs `client_cert`".to_owned()),
    }
    Ok((!is_usual).then_some(tls))
}
