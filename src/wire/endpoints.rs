//! The paths that are known, and what each is for.
//!
//! A path that is not here is judged by the shape of its bodies (`shape.rs`), and so is a body that is sent to a plain one.

use std::{collections::HashMap, sync::LazyLock};

use super::NormalPath;

/// What a known path is for, apart from chat in a format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// A model runs there on text that is not read.
    Unread(&'static str),
    /// The same, if the body has a text for a model at all: other services have such paths, too.
    UnreadText(&'static str),
    /// It runs no chat: models, embeddings, files.
    Plain,
    /// It draws or films by a `prompt`, which is no conversation.
    Pictures,
    /// Files are uploaded there, some of them with requests for a model in them.
    Uploads,
}

use Known::{Pictures, Plain, Unread, UnreadText, Uploads};

/// Ends of paths, a line each. A pattern's segments stand for the last ones of a path:
/// - `*` is any segment, `*:name` any that ends in `:name`, a last `**` one segment or more;
/// - `^` before the first says that the path is no longer;
/// - `@` before it, that a provider's API leads there: a version or a provider's name stands right before.
///
/// Of patterns that fit, the longest counts.
const ENDPOINTS: &[(&str, Known)] = &[
    // OpenAI, and all that speak it.
    ("^/responses", Unread(RESPONSES)),
    ("@/responses", Unread(RESPONSES)),
    ("@/responses/**", Unread(RESPONSES)),
    ("/completions", Unread("the legacy Completions API")),
    ("@/edits", Unread("the Edits API")),
    ("/chat/completions/batches", Unread(BATCHES)),
    ("@/batches", Unread(BATCHES)),
    ("@/batches/**", Unread(BATCHES)),
    ("@/decisions", Unread("the Decisions API")),
    ("^/decisions", UnreadText("the Decisions API")),
    ("@/systemone", Unread("the Decisions API")),
    ("@/realtime", Unread(REALTIME)),
    ("/realtime/**", Unread(REALTIME)),
    ("@/live/**", Unread(REALTIME)),
    ("@/chatkit/**", Unread("ChatKit")),
    ("@/assistants", Unread(ASSISTANTS)),
    ("@/assistants/**", Unread(ASSISTANTS)),
    ("@/threads", Unread(ASSISTANTS)),
    ("@/threads/**", Unread(ASSISTANTS)),
    ("/threads/runs", Unread(ASSISTANTS)),
    ("/threads/*/runs", Unread(ASSISTANTS)),
    ("/threads/*/runs/**", Unread(ASSISTANTS)),
    ("/projects/*/threads", Unread(ASSISTANTS)),
    ("/projects/*/threads/**", Unread(ASSISTANTS)),
    ("/projects/*/assistants", Unread(ASSISTANTS)),
    ("/submit_tool_outputs", Unread(ASSISTANTS)),
    ("@/conversations", Unread(CONVERSATIONS)),
    ("@/conversations/**", Unread(CONVERSATIONS)),
    ("@/agents", UnreadText(AGENTS)),
    ("@/agents/*", UnreadText(AGENTS)),
    ("@/agents/sessions", Unread(AGENTS)),
    ("@/agents/sessions/**", Unread(AGENTS)),
    ("@/agents/automations/**", Unread(AGENTS)),
    ("/evals/*/runs", Unread("the Evals API")),
    ("@/evals", Unread("the Evals API")),
    ("/alpha/graders/run", Unread("graders")),
    ("/alpha/graders/validate", Unread("graders")),
    ("/models", Plain),
    ("/models/*", UnreadText(TEXT)),
    ("/models/*/*", UnreadText(TEXT)),
    ("/embeddings", Plain),
    ("/moderations", Plain),
    ("/files", Uploads),
    ("/uploads", Uploads),
    ("/uploads/*/parts", Uploads),
    ("/images/generations", Pictures),
    ("/images/edits", Pictures),
    ("/images/variations", Pictures),
    ("@/videos", Pictures),
    ("@/videos/**", Pictures),
    ("/audio/speech", Plain),
    ("/audio/transcriptions", Plain),
    ("/audio/translations", Plain),
    ("/fine_tuning/jobs", Plain),
    ("/vector_stores", Plain),
    ("/tokenize", Plain),
    ("/detokenize", Plain),
    ("/rerank", Plain),
    // Anthropic.
    ("@/messages/batches", Unread(BATCHES)),
    ("@/messages/batches/**", Unread(BATCHES)),
    ("@/complete", Unread("the legacy Text Completions API")),
    ("/messages/count_tokens", Plain),
    ("/count_tokens", Plain),
    ("@/sessions/*/events", Unread(AGENTS)),
    ("@/sessions/*/events/**", Unread(AGENTS)),
    ("@/sessions/*/threads/**", Unread(AGENTS)),
    ("@/deployments/*/run", Unread(AGENTS)),
    ("@/dreams", Unread(AGENTS)),
    ("@/memory_stores/**", Unread(AGENTS)),
    ("/experimental/generate_prompt", Unread("the prompt tools")),
    ("/experimental/improve_prompt", Unread("the prompt tools")),
    (
        "/experimental/templatize_prompt",
        Unread("the prompt tools"),
    ),
    // Google.
    ("*:generatecontent", Unread(GEMINI)),
    ("*:streamgeneratecontent", Unread(GEMINI)),
    ("*:batchgeneratecontent", Unread(BATCHES)),
    ("*:bidigeneratecontent", Unread("Gemini Live")),
    ("*:generateanswer", Unread(GEMINI)),
    ("*:generategroundedcontent", Unread(GEMINI)),
    ("*:streamgenerategroundedcontent", Unread(GEMINI)),
    ("*:generatetext", Unread("PaLM")),
    ("*:generatemessage", Unread("PaLM")),
    ("*:predict", Unread(VERTEX)),
    ("*:predictlongrunning", Unread(VERTEX)),
    ("*:directpredict", Unread(VERTEX)),
    ("*:directrawpredict", Unread(VERTEX)),
    ("*:streamingpredict", Unread(VERTEX)),
    ("*:streamingrawpredict", Unread(VERTEX)),
    ("*:serverstreamingpredict", Unread(VERTEX)),
    ("*:rawpredict", Unread(VERTEX)),
    ("*:streamrawpredict", Unread(VERTEX)),
    ("*:detectintent", Unread(DIALOGFLOW)),
    ("*:streamingdetectintent", Unread(DIALOGFLOW)),
    ("*:serverstreamingdetectintent", Unread(DIALOGFLOW)),
    ("*:fulfillintent", Unread(DIALOGFLOW)),
    ("*:answer", Unread(VERTEX_SEARCH)),
    ("*:streamanswer", Unread(VERTEX_SEARCH)),
    ("*:converse", Unread(VERTEX_SEARCH)),
    ("*:assist", Unread(VERTEX_SEARCH)),
    ("*:streamassist", Unread(VERTEX_SEARCH)),
    ("*:augmentprompt", Unread(VERTEX)),
    ("*:streamquery", Unread(AGENT_ENGINE)),
    ("/reasoningengines/*:query", Unread(AGENT_ENGINE)),
    ("*:counttokens", Plain),
    ("*:computetokens", Plain),
    ("*:embedcontent", Plain),
    ("*:batchembedcontents", Plain),
    ("@/interactions", Unread("the Interactions API")),
    ("@/interactions/**", Unread("the Interactions API")),
    ("@/cachedcontents", Unread(GEMINI)),
    ("@/cachedcontents/*", Unread(GEMINI)),
    // Ollama.
    ("/api/chat", Unread("Ollama chat")),
    ("/api/generate", Unread("Ollama generation")),
    ("/api/create", Unread("Ollama's models with a text")),
    ("/api/tags", Plain),
    ("/api/show", Plain),
    ("/api/ps", Plain),
    ("/api/version", Plain),
    ("/api/embed", Plain),
    ("/api/embeddings", Plain),
    // Servers of one's own: llama.cpp, TGI, SGLang, vLLM, KoboldCpp, Triton and KServe.
    ("^/", UnreadText(TEXT)),
    ("/completion", Unread(TEXT)),
    ("/infill", Unread(TEXT)),
    ("^/generate", Unread(TEXT)),
    ("@/generate", Unread(TEXT)),
    ("/generate_stream", Unread(TEXT)),
    ("/generate_from_file", Unread(TEXT)),
    ("/vertex_generate", Unread(TEXT)),
    ("/invocations", Unread(TEXT)),
    ("/invocations-response-stream", Unread(TEXT)),
    ("/async-invocations", Unread(TEXT)),
    ("/extra/generate/*", Unread(TEXT)),
    ("/latest/generate", Unread(TEXT)),
    ("/models/*/infer", Unread(TEXT)),
    ("/models/*/versions/*/infer", Unread(TEXT)),
    ("/models/*/generate", Unread(TEXT)),
    ("/models/*/versions/*/generate", Unread(TEXT)),
    ("/score", Plain),
    ("/classify", Plain),
    ("/pooling", Plain),
    // Amazon.
    ("/model/*/invoke", Unread(BEDROCK)),
    ("/converse", Unread("Bedrock Converse")),
    ("/converse-stream", Unread("Bedrock Converse")),
    ("/invoke-with-response-stream", Unread(BEDROCK)),
    ("/invoke-with-bidirectional-stream", Unread(BEDROCK)),
    ("/async-invoke", Unread(BEDROCK)),
    ("/model/*/count-tokens", Plain),
    ("/guardrail/*/version/*/apply", Plain),
    ("/guardrail-checks/invoke", Plain),
    ("/retrieveandgenerate", Unread(BEDROCK_AGENTS)),
    ("/retrieveandgeneratestream", Unread(BEDROCK_AGENTS)),
    (
        "/agents/*/agentaliases/*/sessions/*/text",
        Unread(BEDROCK_AGENTS),
    ),
    ("/flows/*/aliases/*", Unread(BEDROCK_AGENTS)),
    ("/flows/*/aliases/*/**", Unread(BEDROCK_AGENTS)),
    ("/optimize-prompt", Unread(BEDROCK_AGENTS)),
    // Cohere, Mistral.
    ("@/chat", Unread("a vendor's chat")),
    ("@/summarize", Unread("Cohere's summaries")),
    // Replicate, Cloudflare, RunPod, Nvidia, AI21, Snowflake.
    ("@/predictions", Unread(REPLICATE)),
    ("^/predictions", UnreadText(REPLICATE)),
    ("^/predictions/*", Unread(REPLICATE)),
    ("/models/*/*/predictions", Unread(REPLICATE)),
    ("/deployments/*/*/predictions", Unread(REPLICATE)),
    ("/ai/run/**", Unread("Workers AI")),
    ("@/*/runsync", Unread(TEXT)),
    ("/pexec/functions/**", Unread(TEXT)),
    ("/studio/v1/*/complete", Unread(TEXT)),
    ("/cortex/inference:complete", Unread(TEXT)),
    ("/cortex/analyst/message", Unread(AGENTS)),
    ("*/agents/*:run", Unread(AGENTS)),
    ("/cortex/agent:run", Unread(AGENTS)),
    ("/production/predict", Unread(TEXT)),
    ("/development/predict", Unread(TEXT)),
    ("/environments/*/predict", Unread(TEXT)),
    ("^/pipeline/*/**", UnreadText(TEXT)),
    // IBM, Oracle.
    ("/text/generation", Unread("watsonx")),
    ("/text/generation_stream", Unread("watsonx")),
    ("/text/chat", Unread("watsonx")),
    ("/text/chat_stream", Unread("watsonx")),
    ("/deployments/*/ai_service", Unread("watsonx")),
    ("/deployments/*/ai_service_stream", Unread("watsonx")),
    ("/actions/chat", Unread(OCI)),
    ("/actions/generatetext", Unread(OCI)),
    ("/actions/summarizetext", Unread(OCI)),
    // Agents' servers: LangGraph, Dify, Flowise, Langflow, AnythingLLM, A2A.
    ("^/runs", Unread(LANGGRAPH)),
    ("/runs/stream", Unread(LANGGRAPH)),
    ("/runs/wait", Unread(LANGGRAPH)),
    ("/runs/batch", Unread(LANGGRAPH)),
    ("/runs/crons", Unread(LANGGRAPH)),
    ("/threads/*/state", Unread(LANGGRAPH)),
    ("@/chat-messages", Unread(DIFY)),
    ("@/completion-messages", Unread(DIFY)),
    ("@/workflows/run", Unread(DIFY)),
    ("@/workflows/*/run", Unread(DIFY)),
    ("/api/v1/prediction/*", Unread("Flowise")),
    ("/api/v1/internal-prediction/*", Unread("Flowise")),
    ("/api/v1/run/*", Unread("Langflow")),
    ("/api/v1/predict/*", Unread("Langflow")),
    ("/api/v1/process/*", Unread("Langflow")),
    ("/api/v1/build/*/flow", Unread("Langflow")),
    ("/workspace/*/chat", Unread("AnythingLLM")),
    ("/workspace/*/stream-chat", Unread("AnythingLLM")),
    ("/workspace/*/thread/*/chat", Unread("AnythingLLM")),
    ("/workspace/*/thread/*/stream-chat", Unread("AnythingLLM")),
    ("/message:send", Unread(A2A)),
    ("/message:stream", Unread(A2A)),
    // Microsoft, Salesforce.
    (
        "/language/analyze-conversations",
        Unread("Azure AI Language"),
    ),
    ("/models/*/generations", Unread("Einstein")),
    ("/models/*/chat-generations", Unread("Einstein")),
];

const RESPONSES: &str = "the Responses API";
const BATCHES: &str = "batches";
const REALTIME: &str = "the Realtime API";
const ASSISTANTS: &str = "the Assistants API";
const CONVERSATIONS: &str = "conversations";
const AGENTS: &str = "an agent's sessions";
const GEMINI: &str = "Gemini";
const VERTEX: &str = "Vertex prediction";
const VERTEX_SEARCH: &str = "Vertex AI Search";
const AGENT_ENGINE: &str = "the Agent Engine";
const DIALOGFLOW: &str = "Dialogflow";
const BEDROCK: &str = "Bedrock invocation";
const BEDROCK_AGENTS: &str = "Bedrock agents";
const REPLICATE: &str = "a model's predictions";
const LANGGRAPH: &str = "an agent's runs";
const DIFY: &str = "Dify";
const OCI: &str = "Oracle's generative AI";
const A2A: &str = "an agent's messages";
/// What most of them are, for people.
const TEXT: &str = "text generation";

/// Methods of services in gRPC in which a model runs: `/package.Service/Method`.
const GRPC_METHODS: &[&str] = &[
    "generatecontent",
    "streamgeneratecontent",
    "batchgeneratecontent",
    "bidigeneratecontent",
    "generateanswer",
    "generatetext",
    "generatemessage",
    "predict",
    "directpredict",
    "streamingpredict",
    "serverstreamingpredict",
    "rawpredict",
    "streamrawpredict",
    "detectintent",
    "streamingdetectintent",
    "answerquery",
    "converseconversation",
    "modelinfer",
    "modelstreaminfer",
    "generate",
    "generatestream",
    "prefill",
    "decode",
];

/// A line of [`ENDPOINTS`], taken apart.
#[derive(Debug)]
struct Pattern {
    /// `^`, `@`, or nothing.
    anchor: u8,
    segments: Vec<&'static str>,
    /// Whether any number of segments may follow, but one at least.
    is_open: bool,
    known: Known,
}

/// The patterns by the last of their segments that is no `*`, or by the method that it ends in.
static PATTERNS: LazyLock<HashMap<&'static str, Vec<Pattern>>> = LazyLock::new(|| {
    let mut patterns: HashMap<&'static str, Vec<Pattern>> = HashMap::new();
    for (line, known) in ENDPOINTS {
        let anchor = line.bytes().next().filter(|byte| b"^@".contains(byte));
        let path = line.trim_start_matches(['^', '@']);
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, is_open) = match path.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let segments: Vec<&str> = path.split('/').collect();
        let mut named = segments.iter().rev().filter(|segment| **segment != "*");
        let key = named.next().copied().unwrap_or_default();
        patterns
            .entry(key.trim_start_matches('*'))
            .or_default()
            .push(Pattern {
                anchor: anchor.unwrap_or_default(),
                segments,
                is_open,
                known: *known,
            });
    }
    patterns
});

/// What the path is known for, if it is known.
pub(super) fn known(path: &NormalPath<'_>) -> Option<Known> {
    /// As many segments are told apart without memory of their own.
    const FEW: usize = 16;
    let (mut few, mut many) = ([""; FEW], Vec::new());
    let count = path.segments().count();
    let segments: &[&str] = match few.get_mut(..count) {
        Some(few) => {
            few.iter_mut()
                .zip(path.segments())
                .for_each(|(slot, segment)| *slot = segment);
            few
        }
        None => {
            many.extend(path.segments());
            &many
        }
    };
    if let [.., service, method] = *segments
        && service.contains('.')
        && (service.ends_with("service") || service.contains("generat"))
        && GRPC_METHODS.contains(&method)
    {
        return Some(Unread(TEXT));
    }
    let methods = segments
        .last()
        .and_then(|last| last.rfind(':').and_then(|colon| last.get(colon..)));
    let keys = segments.iter().copied().chain(methods);
    let candidates = keys.filter_map(|key| PATTERNS.get(key)).flatten();
    let fitting = candidates.filter(|pattern| pattern.fits(segments));
    fitting
        .max_by_key(|pattern| pattern.weight())
        .map(|pattern| pattern.known)
}

impl Pattern {
    /// Whether the path of these segments ends as the pattern says.
    fn fits(&self, segments: &[&str]) -> bool {
        let wanted = self.segments.len();
        let Some(last) = segments.len().checked_sub(wanted) else {
            return false;
        };
        // Where the pattern's segments may begin.
        let mut starts = match self.is_open {
            true => 0..last,
            false => last..last + 1,
        };
        starts.any(|start| {
            let (before, there) = segments.split_at(start);
            let is_anchored = match self.anchor {
                b'^' => before.is_empty(),
                b'@' => before.last().is_some_and(|parent| leads_to_models(parent)),
                _ => true,
            };
            let mut pairs = self.segments.iter().zip(there);
            is_anchored && pairs.all(|(wanted, segment)| fits_segment(wanted, segment))
        })
    }

    /// How much the pattern says: of those that fit, the greatest counts. A method says most.
    fn weight(&self) -> (bool, usize, usize) {
        let has_method = self.segments.last().is_some_and(|last| last.contains(':'));
        let named = self.segments.iter().filter(|segment| **segment != "*");
        let length = self.segments.len() + usize::from(self.is_open);
        (has_method, length, named.count())
    }
}

fn fits_segment(wanted: &str, segment: &str) -> bool {
    match wanted.strip_prefix('*') {
        Some("") => !segment.is_empty(),
        Some(method) => segment.len() > method.len() && segment.ends_with(method),
        None => segment == wanted,
    }
}

/// Whether a provider's API has its paths right under this segment: a version, or a provider's name.
fn leads_to_models(segment: &str) -> bool {
    let is_version = segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && segment.len() <= 12);
    const PROVIDERS: &[&str] = &[
        "openai",
        "anthropic",
        "claude",
        "bedrock",
        "vertex",
        "vertexai",
        "vertex_ai",
        "gemini",
        "google",
        "mistral",
        "cohere",
        "ollama",
        "groq",
        "together",
        "fireworks",
        "deepseek",
        "azure",
        "openrouter",
        "litellm",
        "portkey",
        "perplexity",
        "xai",
        "nvidia",
        "inference",
        "serving-endpoints",
        "llm",
        "llms",
        "beta",
    ];
    is_version || PROVIDERS.contains(&segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Known> {
        known(&NormalPath::new(path))
    }

    #[test]
    fn every_pattern_fits_a_path_of_its_own() {
        for (pattern, known_as) in ENDPOINTS {
            let path = pattern.trim_start_matches(['^', '@']);
            let path = path.replace("**", "a/b").replace('*', "x");
            let path = if path.starts_with('/') {
                path
            } else {
                format!("/models/{path}")
            };
            let path = match pattern.as_bytes()[0] {
                b'@' => format!("/v1{path}"),
                _ => path,
            };
            assert_eq!(of(&path), Some(*known_as), "{pattern} {path}");
        }
    }

    #[test]
    fn an_apps_own_paths_are_not_known() {
        for path in [
            "/v1/orders",
            "/v1/orders/5/items",
            "/users/5/messages",
            "/api/v1/users/5/messages",
            "/reports/generate",
            "/api/v1/reports/generate",
            "/surveys/5/responses",
            "/api/v1/surveys/5/responses",
            "/graphql",
            "/search",
            "/v1/sessions",
            "/jobs/5/batches",
            "/forum/threads",
            "/pictures/predictions",
            "/hooks/invoke",
            "/shop.v1.orderservice/place",
            "/notes/chat/completions-of-mine",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn the_longest_pattern_counts() {
        assert_eq!(of("/v1/models/gpt"), Some(UnreadText(TEXT)));
        assert_eq!(of("/v1/models"), Some(Plain));
        assert_eq!(of("/v1beta/models/g:generateContent"), Some(Unread(GEMINI)));
        assert_eq!(of("/v1beta/models/g:countTokens"), Some(Plain));
        assert_eq!(of("/v1/messages/count_tokens"), Some(Plain));
        assert_eq!(of("/v1/messages/batches/b/results"), Some(Unread(BATCHES)));
        assert_eq!(
            of("/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"),
            Some(Unread(TEXT))
        );
        assert_eq!(
            of("/inference.GRPCInferenceService/ModelInfer"),
            Some(Unread(TEXT))
        );
    }
}
