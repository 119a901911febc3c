# Stands in for the reference's package, where the interpreter does not have it: the names that the files of rails directories
# import from it. What only annotates is an empty class; what has no sense in the worker says so when it is used.

import contextvars as _contextvars
import dataclasses as _dataclasses
import datetime as _datetime
import enum as _enum
import importlib.util as _importlib_util
import re as _re
import sys as _sys
import types as _types
import uuid as _uuid
from contextlib import contextmanager as _contextmanager
from typing import Any as _Any
from typing import Optional as _Optional

# What files register that only the reference itself can run.
NOT_RUN = []


def action(is_system_action=False, name=None, execute_async=False, output_mapping=None, **_):
    """Marks a function or a class as an action."""

    def mark(target):
        marked = getattr(target, "__func__", target)
        marked.action_meta = {
            "name": name or target.__name__,
            "is_system_action": is_system_action,
            "execute_async": execute_async,
        }
        return target

    # `@action` without brackets.
    if callable(is_system_action):
        target, is_system_action = is_system_action, False
        return mark(target)
    return mark


@_dataclasses.dataclass
class ActionResult:
    return_value: _Any = None
    events: _Optional[list] = None
    context_updates: _Optional[dict] = _dataclasses.field(default_factory=dict)


class RailDecision(str, _enum.Enum):
    ALLOW = "allow"
    BLOCK = "block"
    TRANSFORM = "transform"


class TransformTarget(str, _enum.Enum):
    USER_MESSAGE = "user_message"
    BOT_MESSAGE = "bot_message"
    RELEVANT_CHUNKS = "relevant_chunks"


@_dataclasses.dataclass(frozen=True)
class TransformSpec:
    target: TransformTarget
    text: str


@_dataclasses.dataclass(frozen=True)
class RailOutcome:
    decision: RailDecision
    reason: _Optional[str] = None
    metadata: dict = _dataclasses.field(default_factory=dict)
    transforms: tuple = ()
    failed: bool = False

    @property
    def is_blocked(self):
        return self.decision == RailDecision.BLOCK

    @property
    def is_transform(self):
        return self.decision == RailDecision.TRANSFORM

    @property
    def transform_text(self):
        return {spec.target.value: spec.text for spec in self.transforms}

    @classmethod
    def allow(cls, *, reason=None, metadata=None, **more):
        return cls(RailDecision.ALLOW, reason, {**(metadata or {}), **more})

    @classmethod
    def block(cls, *, reason=None, metadata=None, **more):
        return cls(RailDecision.BLOCK, reason, {**(metadata or {}), **more})

    @classmethod
    def failure(cls, *, reason=None, metadata=None, **more):
        return cls(RailDecision.BLOCK, reason, {**(metadata or {}), **more}, failed=True)

    @classmethod
    def transform(cls, rewrites, *, reason=None, metadata=None, **more):
        specs = tuple(TransformSpec(TransformTarget(target), text) for target, text in rewrites)
        return cls(RailDecision.TRANSFORM, reason, {**(metadata or {}), **more}, specs)


def require_rail_outcome(result):
    if not isinstance(result, RailOutcome):
        raise TypeError(f"a RailOutcome is expected, not {type(result).__name__}")
    return result


class LLMCallException(Exception):
    def __init__(self, inner_exception, detail=None):
        super().__init__(f"{detail}: {inner_exception}" if detail else str(inner_exception))
        self.inner_exception = inner_exception
        self.detail = detail


class ConfigurationError(ValueError):
    pass


class InvalidRailsConfigurationError(ConfigurationError):
    pass


class InvalidModelConfigurationError(ConfigurationError):
    pass


async def llm_call(llm, prompt, model_name=None, model_provider=None, stop=None, llm_params=None, *_, **__):
    if llm is None:
        raise LLMCallException(ValueError("there is no model to call"))
    parameters = dict(llm_params or {})
    stop = parameters.pop("stop", stop)
    for method in ("generate_async", "ainvoke"):
        if hasattr(llm, method):
            return await getattr(llm, method)(prompt, stop=stop, **parameters)
    raise TypeError(f"{type(llm).__name__} is no model")


@_contextmanager
def llm_params(llm, **parameters):
    before = getattr(llm, "_parameters", None)
    if before is not None:
        llm._parameters = {**before, **parameters}
    try:
        yield
    finally:
        if before is not None:
            llm._parameters = before


def _last(events, kind):
    return next((event for event in reversed(events or []) if event.get("type") == kind), None)


def _said(content):
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(text for text in texts if isinstance(text, str))
    return content


def get_last_user_utterance_event(events):
    return _last(events, "UserMessage")


def get_last_user_utterance(events):
    event = _last(events, "UserMessage")
    return None if event is None else _said(event.get("text"))


def get_last_user_intent_event(events):
    return _last(events, "UserIntent")


def get_last_bot_intent_event(events):
    return _last(events, "BotIntent")


def get_last_bot_utterance_event(events):
    return _last(events, "StartUtteranceBotAction")


def get_retrieved_relevant_chunks(events, skip_user_message=False):
    for event in reversed(events or []):
        if event.get("type") == "UserMessage" and not skip_user_message:
            return None
        if event.get("type") == "ContextUpdate" and "relevant_chunks" in event.get("data", {}):
            return (event["data"]["relevant_chunks"] or "").strip()
    return None


def get_colang_history(events, include_texts=True, remove_retrieval_events=False):
    lines = []
    for event in events or []:
        kind = event.get("type")
        if kind == "UserMessage" and include_texts:
            lines.append(f'user "{_said(event.get("text"))}"')
        elif kind == "UserIntent":
            lines.append(f"{'  ' if include_texts else 'user '}{event['intent']}")
        elif kind == "BotIntent":
            lines.append(f"bot {event['intent']}")
        elif kind == "StartUtteranceBotAction" and include_texts:
            lines.append(f'  "{event["script"]}"')
        elif kind in ("StartInternalSystemAction", "InternalSystemActionFinished"):
            name = event.get("action_name")
            if event.get("is_system_action") or (remove_retrieval_events and name == "retrieve_relevant_chunks"):
                continue
            if kind == "StartInternalSystemAction":
                lines.append(f"execute {name}")
            else:
                result = str(event.get("return_value")).replace("\n", " ")
                lines.append(f"# The result was {result}")
    return "".join(line + "\n" for line in lines)


def strip_quotes(text):
    text = str(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"')
    return text[1:] if text.startswith('"') else text


def get_first_nonempty_line(text):
    return next((line.strip() for line in str(text).split("\n") if line.strip()), None)


def new_uuid():
    return str(_uuid.uuid4())


def new_event_dict(event_type, **payload):
    now = _datetime.datetime.now(_datetime.timezone.utc).isoformat()
    return {"type": event_type, "uid": new_uuid(), "event_created_at": now, "source_uid": "NeMoGuardrails", **payload}


def camelcase_to_snakecase(name):
    name = _re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return _re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


async def create_event(event, context=None):
    fields = {name: value for name, value in event.items() if name != "_type"}
    for name, value in fields.items():
        if isinstance(value, str) and value.startswith("$"):
            fields[name] = (context or {}).get(value[1:])
    return ActionResult(events=[new_event_dict(event["_type"], **fields)])


@_dataclasses.dataclass
class LLMCallInfo:
    task: _Optional[str] = None
    duration: _Optional[float] = None
    total_tokens: _Optional[int] = None
    prompt_tokens: _Optional[int] = None
    completion_tokens: _Optional[int] = None
    prompt: _Optional[str] = None
    completion: _Optional[str] = None
    started_at: _Optional[float] = None
    finished_at: _Optional[float] = None
    llm_model_name: _Optional[str] = None
    llm_provider_name: _Optional[str] = None
    from_cache: bool = False


class Role(str, _enum.Enum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


@_dataclasses.dataclass
class ChatMessage:
    role: Role
    content: _Any = None
    tool_calls: _Optional[list] = None
    tool_call_id: _Optional[str] = None
    name: _Optional[str] = None
    provider_metadata: dict = _dataclasses.field(default_factory=dict)

    @classmethod
    def from_user(cls, content, **more):
        return cls(Role.USER, content, **more)

    @classmethod
    def from_assistant(cls, content, **more):
        return cls(Role.ASSISTANT, content, **more)

    @classmethod
    def from_system(cls, content, **more):
        return cls(Role.SYSTEM, content, **more)

    @classmethod
    def from_tool(cls, content, tool_call_id, **more):
        return cls(Role.TOOL, content, tool_call_id=tool_call_id, **more)


@_dataclasses.dataclass
class LLMResponse:
    content: str
    reasoning: _Optional[str] = None
    tool_calls: _Optional[list] = None
    model: _Optional[str] = None
    finish_reason: _Optional[str] = None
    stop_sequence: _Optional[str] = None
    request_id: _Optional[str] = None
    usage: _Any = None
    provider_metadata: _Optional[dict] = None


@_dataclasses.dataclass
class IndexItem:
    text: str
    meta: dict = _dataclasses.field(default_factory=dict)


_TASKS = (
    "general generate_user_intent generate_next_steps generate_bot_message generate_intent_steps_message generate_value "
    "generate_value_from_instruction self_check_input self_check_output self_check_facts self_check_hallucination "
    "llama_guard_check_input llama_guard_check_output patronus_lynx_check_output_hallucination"
).split()
Task = _enum.Enum("Task", {task.upper(): task for task in _TASKS})


def _not_here(what):
    def use(*arguments, **_):
        raise NotImplementedError(f"`{what}` needs the reference's own package in the worker's interpreter")

    return use


def _registers(what):
    def register(*arguments, **keywords):
        named = next((argument for argument in (*arguments, *keywords.values()) if isinstance(argument, str)), "?")
        NOT_RUN.append(f"{what} `{named}`")

    return register


def _annotations(names):
    """Classes that only annotate: none of them can be made."""
    return {name: type(name, (), {"__init__": _not_here(name)}) for name in names.split()}


_BASES = {name: type(name, (), {}) for name in ("EmbeddingsIndex", "EmbeddingModel")}
_VARIABLES = (
    "streaming_handler_var explain_info_var llm_call_info_var generation_options_var llm_stats_var raw_llm_request "
    "reasoning_trace_var tool_calls_var llm_response_metadata_var"
).split()

_ACTIONS = {"action": action, "ActionResult": ActionResult, "ActionMeta": dict}
_OUTCOMES = {
    "RailDecision": RailDecision,
    "TransformTarget": TransformTarget,
    "TransformSpec": TransformSpec,
    "RailOutcome": RailOutcome,
    "require_rail_outcome": require_rail_outcome,
}
_ENGINE = _annotations("LLMRails RailsConfig Guardrails")
_CONFIG = {"RailsConfig": _ENGINE["RailsConfig"], **_annotations("Model Rails RailsConfigData Instruction Document TaskPrompt")}
_ERRORS = {
    "LLMCallException": LLMCallException,
    "ConfigurationError": ConfigurationError,
    "InvalidRailsConfigurationError": InvalidRailsConfigurationError,
    "InvalidModelConfigurationError": InvalidModelConfigurationError,
}
_TEXTS = {
    "strip_quotes": strip_quotes,
    "get_first_nonempty_line": get_first_nonempty_line,
}
_MODELS = {"ChatMessage": ChatMessage, "LLMResponse": LLMResponse, "Role": Role}
_UTILS = {
    "llm_call": llm_call,
    "LLMCallException": LLMCallException,
    "get_colang_history": get_colang_history,
    "get_last_user_utterance": get_last_user_utterance,
    "get_last_user_utterance_event": get_last_user_utterance_event,
    "get_last_user_intent_event": get_last_user_intent_event,
    "get_last_bot_intent_event": get_last_bot_intent_event,
    "get_last_bot_utterance_event": get_last_bot_utterance_event,
    "get_retrieved_relevant_chunks": get_retrieved_relevant_chunks,
    **_TEXTS,
}
_INDEX = {"EmbeddingsIndex": _BASES["EmbeddingsIndex"], "IndexItem": IndexItem}
_PROVIDERS = {
    "register_llm_provider": _registers("the provider of models"),
    "register_chat_provider": _registers("the provider of chat models"),
    "HuggingFacePipelineCompatible": type("HuggingFacePipelineCompatible", (), {}),
}
_EMBEDDING_PROVIDERS = {"register_embedding_provider": _registers("the embedding provider")}
_TYPES = {**_MODELS, **_annotations("LLMModel LLMFramework LLMResponseChunk ToolCall ToolCallFunction UsageInfo")}

# The modules, with the names that are imported from each.
MODULES = {
    "": _ENGINE,
    "actions": _ACTIONS,
    "actions.action": _ACTIONS,
    "actions.actions": _ACTIONS,
    "actions.action_dispatcher": _annotations("ActionDispatcher"),
    "actions.core": {"create_event": create_event},
    "actions.llm": {},
    "actions.llm.generation": _annotations("LLMGenerationActions"),
    "actions.llm.utils": _UTILS,
    "actions.rail_outcome": _OUTCOMES,
    "context": {name: _contextvars.ContextVar(name, default=None) for name in _VARIABLES},
    "embeddings": {},
    "embeddings.index": _INDEX,
    "embeddings.basic": _annotations("BasicEmbeddingsIndex SentenceTransformerEmbeddingModel OpenAIEmbeddingModel"),
    "embeddings.providers": _EMBEDDING_PROVIDERS,
    "embeddings.providers.base": {"EmbeddingModel": _BASES["EmbeddingModel"]},
    "embeddings.providers.registry": _annotations("EmbeddingProviderRegistry"),
    "exceptions": _ERRORS,
    "http": _annotations("HTTPClient HTTPResponse HTTPTLSConfig RetryPolicy"),
    "kb": {},
    "kb.kb": _annotations("KnowledgeBase"),
    "llm": {},
    "llm.call": {"llm_call": llm_call},
    "llm.completion_parsing": _TEXTS,
    "llm.filters": {"colang": get_colang_history},
    "llm.helpers": {"get_llm_instance_wrapper": _not_here("get_llm_instance_wrapper")},
    "llm.params": {"llm_params": llm_params},
    "llm.providers": _PROVIDERS,
    "llm.providers.huggingface": {"HuggingFacePipelineCompatible": _PROVIDERS["HuggingFacePipelineCompatible"]},
    "llm.taskmanager": _annotations("LLMTaskManager"),
    "llm.types": {"Task": Task},
    "logging": {},
    "logging.explain": {"LLMCallInfo": LLMCallInfo, **_annotations("ExplainInfo")},
    "logging.stats": _annotations("LLMStats"),
    "rails": _ENGINE,
    "rails.llm": {},
    "rails.llm.config": _CONFIG,
    "rails.llm.llmrails": _ENGINE,
    "rails.llm.options": _annotations("GenerationOptions GenerationResponse RailStatus RailType"),
    "streaming": _annotations("StreamingHandler"),
    "types": _TYPES,
    "utils": {
        "new_uuid": new_uuid,
        "new_event_dict": new_event_dict,
        "camelcase_to_snakecase": camelcase_to_snakecase,
    },
}


def stand_in(package="nemoguardrails"):
    """Puts the modules in place, unless the interpreter has the package."""
    try:
        if package in _sys.modules or _importlib_util.find_spec(package) is not None:
            return
    except (ImportError, ValueError):
        pass
    for path, names in MODULES.items():
        full = f"{package}.{path}" if path else package
        module = _types.ModuleType(full, "Stands in for the reference's module of this name.")
        module.__path__ = []
        module.__dict__.update(names)
        _sys.modules[full] = module
    for path in filter(None, MODULES):
        parent, _, name = f"{package}.{path}".rpartition(".")
        # A function of the same name goes before the module, as in the reference.
        _sys.modules[parent].__dict__.setdefault(name, _sys.modules[f"{package}.{path}"])
    _sys.modules[package].__version__ = "0.24.1"
