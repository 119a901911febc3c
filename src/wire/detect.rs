//! What a path is for: the guard must take a path as the most lenient server behind it would.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{Claim, WireFormat};

/// A path in the form in which paths are compared: decoded, in lower case, without empty or dotted segments, without
/// parameters, query or trailing slash.
///
/// ```
/// use tower_guardrails::wire::NormalPath;
///
/// let path = NormalPath::new("/V1//x/..;a=b/%63hat%2fcompletions/?q");
/// assert_eq!(path.as_str(), "/v1/chat/completions");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NormalPath(String);

/// How often a path is decoded; what is encoded more often stays encoded.
const DECODINGS: usize = 8;

impl NormalPath {
    /// Normalises `raw`: a path, or a whole target in absolute form.
    pub fn new(raw: &str) -> Self {
        let mut path = raw.to_owned();
        for _ in 0..DECODINGS {
            if !path.contains('%') {
                break;
            }
            let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
            if decoded == path {
                break;
            }
            path = decoded;
        }
        let path: String = path
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(fold)
            .map(|c| if c == '\\' { '/' } else { c })
            .collect();
        let path = without_authority(&path);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment.split(';').next().unwrap_or_default().trim() {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                segment => segments.push(segment.trim_end_matches(['.', ' '])),
            }
        }
        Self(format!("/{}", segments.join("/")))
    }

    /// The path, with its leading slash and without a trailing one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the last segments are `suffix`, which begins with a slash.
    pub fn ends_with(&self, suffix: &str) -> bool {
        suffix.starts_with('/') && self.0.ends_with(suffix)
    }

    /// Whether the last segment ends in the method `method`, as in `/models/m:generateContent`.
    fn has_method(&self, method: &str) -> bool {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        last.rsplit_once(':')
            .is_some_and(|(_, name)| name == method)
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Whether a model provider's API is what the path leads into: a version or a provider's name stands in it.
    fn is_in_provider_api(&self) -> bool {
        self.segments().any(|segment| {
            let version = segment.strip_prefix('v').is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_digit()) && rest.len() < 10
            });
            version || matches!(segment, "openai" | "anthropic" | "claude" | "bedrock")
        })
    }
}

/// Lower case, with the two letters that upper-case into ASCII.
pub(super) fn fold(character: char) -> impl Iterator<Item = char> {
    match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other,
    }
    .to_lowercase()
}

fn without_authority(path: &str) -> &str {
    let scheme = path.split_once("://");
    match scheme {
        Some((scheme, rest)) if !scheme.contains('/') => match rest.find('/') {
            Some(slash) => rest.get(slash..).unwrap_or_default(),
            None => "",
        },
        _ => path,
    }
}

/// What a path is for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Endpoint<'f> {
    /// Chat in a format that is read.
    Chat(&'f Arc<dyn WireFormat>),
    /// A reply that was given earlier, in a format that is read.
    Stored(&'f Arc<dyn WireFormat>),
    /// It makes a model run on text that is not read.
    Unread {
        /// What it is, for people.
        name: &'static str,
    },
    /// A provider's endpoint that runs no chat: models, embeddings, files.
    Plain,
    /// Anything else. Whether it is chat shows in the body: [`WireFormat::looks_like_request`].
    Unknown,
}

/// Ends of paths where a model runs, wherever they stand.
const UNREAD: &[(&str, &str)] = &[
    ("/responses", "the Responses API"),
    ("/responses/compact", "the Responses API"),
    ("/completions", "the legacy Completions API"),
    ("/api/chat", "Ollama chat"),
    ("/api/generate", "Ollama generation"),
    ("/realtime", "the Realtime API"),
    ("/chat/completions/batches", "batches"),
    ("/messages/batches", "batches"),
    ("/threads/runs", "the Assistants API"),
    ("/generate_stream", "text generation"),
    ("/converse", "Bedrock Converse"),
    ("/converse-stream", "Bedrock Converse"),
    ("/invoke-with-response-stream", "Bedrock invocation"),
    ("/invoke-with-bidirectional-stream", "Bedrock invocation"),
    ("/async-invoke", "Bedrock invocation"),
];

/// The same, for words that apps use, too: only in a provider's API.
const UNREAD_IN_PROVIDER_API: &[(&str, &str)] = &[
    ("/messages", "the Messages API"),
    ("/complete", "the legacy Text Completions API"),
    ("/batches", "batches"),
    ("/runs", "the Assistants API"),
    ("/submit_tool_outputs", "the Assistants API"),
    ("/threads", "the Assistants API"),
    ("/assistants", "the Assistants API"),
    ("/conversations", "conversations"),
    ("/items", "conversations"),
    ("/generate", "text generation"),
    ("/chat", "a vendor's chat"),
    ("/sessions", "the Realtime API"),
    ("/client_secrets", "the Realtime API"),
    ("/calls", "the Realtime API"),
];

/// Methods of Google's paths where a model runs.
const UNREAD_METHODS: &[(&str, &str)] = &[
    ("generatecontent", "Gemini"),
    ("streamgeneratecontent", "Gemini"),
    ("batchgeneratecontent", "batches"),
    ("bidigeneratecontent", "Gemini Live"),
    ("generatetext", "PaLM"),
    ("generatemessage", "PaLM"),
    ("generateanswer", "Gemini"),
    ("predict", "Vertex prediction"),
    ("directpredict", "Vertex prediction"),
    ("serverstreamingpredict", "Vertex prediction"),
    ("rawpredict", "Vertex prediction"),
    ("streamrawpredict", "Vertex prediction"),
];

/// Ends of paths of a provider's API that run no chat.
const PLAIN: &[&str] = &[
    "/models",
    "/embeddings",
    "/moderations",
    "/files",
    "/uploads",
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/fine_tuning/jobs",
    "/vector_stores",
    "/count_tokens",
    "/tokenize",
    "/detokenize",
    "/rerank",
    "/api/tags",
    "/api/show",
    "/api/ps",
    "/api/version",
    "/api/embed",
    "/api/embeddings",
];

/// What `path` is for, where `formats` are read.
pub fn classify<'f>(path: &NormalPath, formats: &'f [Arc<dyn WireFormat>]) -> Endpoint<'f> {
    for format in formats {
        match format.claims(path) {
            Claim::Chat => return Endpoint::Chat(format),
            Claim::Stored => return Endpoint::Stored(format),
            Claim::No => {}
        }
    }
    let anywhere = UNREAD.iter().find(|(end, _)| path.ends_with(end));
    let in_provider_api = || {
        let end = UNREAD_IN_PROVIDER_API
            .iter()
            .find(|(end, _)| path.ends_with(end));
        end.filter(|_| path.is_in_provider_api())
    };
    let bedrock = || {
        let is_invoke = path.ends_with("/invoke") && path.segments().any(|s| s == "model");
        is_invoke.then_some(&("/invoke", "Bedrock invocation"))
    };
    let method = || {
        UNREAD_METHODS
            .iter()
            .find(|(method, _)| path.has_method(method))
    };
    if let Some((_, name)) = anywhere
        .or_else(in_provider_api)
        .or_else(bedrock)
        .or_else(method)
    {
        return Endpoint::Unread { name };
    }
    let segments = path.segments().count();
    let is_one_model = segments >= 2 && path.segments().nth(segments - 2) == Some("models");
    if PLAIN.iter().any(|end| path.ends_with(end)) || is_one_model && !path.as_str().contains(':') {
        return Endpoint::Plain;
    }
    Endpoint::Unknown
}
