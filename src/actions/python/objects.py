# What actions are given beside their arguments: the configuration, models, prompts, the knowledge base. All that is not at hand is
# asked of the crate, by the call that runs.

import collections.abc

class Settings(collections.abc.Mapping):
    """A part of the configuration: keys are attributes, and items as of a mapping."""

    def __init__(self, items):
        object.__setattr__(self, "_items", items)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return settings(self._items[name])
        except KeyError:
            raise AttributeError(f"the configuration has no `{name}` here") from None

    def __setattr__(self, name, value):
        self._items[name] = value

    def __getitem__(self, key):
        return settings(self._items[key])

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __bool__(self):
        return True

    def __repr__(self):
        return f"Settings({', '.join(self._items)})"

    def model_dump(self, **_):
        return self._items

    dict = model_dump


# What is a mapping in the reference's configuration, too.
PLAIN_KEYS = ("custom_data", "parameters", "bot_messages", "user_messages", "imported_paths")


def settings(value):
    if isinstance(value, dict):
        return Settings(value)
    if isinstance(value, list):
        return [settings(item) for item in value]
    return value


class Config(Settings):
    """The configuration as actions see it."""

    def __getattr__(self, name):
        value = super().__getattr__(name)
        return value._items if name in PLAIN_KEYS and isinstance(value, Settings) else value


class Reply(str):
    """A model's answer: a text, with what else the model said of it."""

    def __new__(cls, answer):
        reply = super().__new__(cls, answer.get("content") or "")
        usage = answer.get("usage") or {}
        reply.content = str(reply)
        reply.text = str(reply)
        reply.reasoning = answer.get("reasoning")
        reply.tool_calls = [tool_call(call) for call in answer.get("tool_calls") or []] or None
        reply.model = answer.get("model")
        reply.finish_reason = answer.get("finish_reason")
        reply.stop_sequence = None
        reply.request_id = None
        reply.usage = Usage(usage) if usage else None
        reply.usage_metadata = usage or None
        reply.provider_metadata = {}
        reply.response_metadata = {}
        reply.additional_kwargs = {}
        return reply


class Usage:
    def __init__(self, usage):
        self.input_tokens = usage.get("input_tokens", 0)
        self.output_tokens = usage.get("output_tokens", 0)
        self.total_tokens = usage.get("total_tokens", 0)
        self.reasoning_tokens = None
        self.cached_tokens = None


class ToolCallFunction:
    def __init__(self, name, arguments):
        self.name = name
        self.arguments = arguments


class ToolCall:
    def __init__(self, number, function):
        self.id = number
        self.type = "function"
        self.function = function

    def to_dict(self):
        function = {"name": self.function.name, "arguments": self.function.arguments}
        return {"id": self.id, "type": self.type, "function": function}


def tool_call(call):
    return ToolCall(call.get("id"), ToolCallFunction(call.get("name"), call.get("arguments")))


class Generated:
    """What `generate` gives: the answers in lists."""

    def __init__(self, replies):
        self.generations = [[reply] for reply in replies]
        self.llm_output = {}


class Chunk:
    def __init__(self, reply):
        self.delta_content = self.content = self.text = reply.content
        self.delta_reasoning = reply.reasoning
        self.delta_tool_calls = reply.tool_calls
        self.model = reply.model
        self.finish_reason = reply.finish_reason or "stop"
        self.request_id = None
        self.usage = reply.usage
        self.provider_metadata = None


class Model:
    """A model of the engine: its methods ask the crate, which asks the model."""

    def __init__(self, worker, kind, call=None, parameters=None, facts=None):
        self._worker = worker
        self._kind = kind
        self._call = call
        self._parameters = dict(parameters or {})
        facts = facts or {}
        self.model_name = facts.get("name") or kind
        self.model = self.model_name
        self.provider_name = facts.get("provider")
        self.provider_url = None

    def _request(self, prompt, stop, keywords):
        parameters = {**self._parameters, **keywords}
        for name in ("config", "callbacks", "run_manager", "tags", "metadata"):
            parameters.pop(name, None)
        if stop is not None:
            parameters["stop"] = [stop] if isinstance(stop, str) else list(stop)
        return {
            "do": "complete",
            "kind": self._kind,
            "messages": messages_of(prompt),
            "parameters": plain({name: value for name, value in parameters.items() if value is not None}),
        }

    def _of(self):
        return self._call if self._call is not None else CURRENT.get()

    async def generate_async(self, prompt, *, stop=None, **keywords):
        return Reply(await self._worker.ask_async(self._of(), self._request(prompt, stop, keywords)))

    async def stream_async(self, prompt, *, stop=None, **keywords):
        yield Chunk(await self.generate_async(prompt, stop=stop, **keywords))

    async def ainvoke(self, input, config=None, *, stop=None, **keywords):
        return await self.generate_async(input, stop=stop, **keywords)

    async def apredict(self, text, *, stop=None, **keywords):
        return await self.generate_async(text, stop=stop, **keywords)

    async def astream(self, input, config=None, *, stop=None, **keywords):
        yield await self.generate_async(input, stop=stop, **keywords)

    async def agenerate(self, prompts, stop=None, **keywords):
        return Generated([await self.generate_async(prompt, stop=stop, **keywords) for prompt in prompts])

    agenerate_prompt = agenerate
    acall = _acall = apredict_messages = ainvoke

    def invoke(self, input, config=None, *, stop=None, **keywords):
        return Reply(self._worker.ask_sync(self._of(), self._request(input, stop, keywords)))

    def __call__(self, prompt, stop=None, **keywords):
        return self.invoke(prompt, stop=stop, **keywords)

    def predict(self, text, *, stop=None, **keywords):
        return self.invoke(text, stop=stop, **keywords)

    def generate(self, prompts, stop=None, **keywords):
        return Generated([self.invoke(prompt, stop=stop, **keywords) for prompt in prompts])

    generate_prompt = generate
    complete = predict_messages = invoke

    def stream(self, input, config=None, *, stop=None, **keywords):
        yield self.invoke(input, stop=stop, **keywords)

    def bind(self, **keywords):
        bound = Model(self._worker, self._kind, self._call, {**self._parameters, **keywords})
        bound.model_name = bound.model = self.model_name
        bound.provider_name = self.provider_name
        return bound

    def with_config(self, *_, **__):
        return self


ROLES = {"human": "user", "ai": "assistant", "bot": "assistant", "developer": "system"}


def messages_of(prompt):
    """A prompt of any usual kind as messages: a text, messages as mappings or pairs, and what LangChain makes of them."""
    if hasattr(prompt, "to_messages"):
        prompt = prompt.to_messages()
    if isinstance(prompt, str):
        return [{"role": "user", "content": text(prompt)}]
    if not isinstance(prompt, (list, tuple)):
        prompt = [prompt]
    return [message_of(message) for message in prompt]


def message_of(message):
    if isinstance(message, str):
        return {"role": "user", "content": text(message)}
    if isinstance(message, tuple) and len(message) == 2:
        message = {"role": message[0], "content": message[1]}
    if isinstance(message, collections.abc.Mapping):
        role, content = message.get("role") or message.get("type"), message.get("content")
        more = message
    else:
        role = getattr(message, "role", None) or getattr(message, "type", None)
        content = getattr(message, "content", None)
        more = {name: getattr(message, name, None) for name in ("name", "tool_call_id", "tool_calls")}
    role = getattr(role, "value", role)
    if not isinstance(role, str):
        raise TypeError(f"a message of a prompt has no role: {type(message).__name__}")
    sent = {"role": ROLES.get(role, role), "content": plain(content)}
    for name in ("name", "tool_call_id"):
        if isinstance(more.get(name), str):
            sent[name] = more[name]
    if more.get("tool_calls"):
        sent["tool_calls"] = [plain(call) for call in more["tool_calls"]]
    return sent


class TaskManager:
    """The prompts of tasks, rendered and read by the crate."""

    def __init__(self, worker, config, call=None):
        self._worker = worker
        self._call = call
        self.config = config

    def _ask(self, request):
        call = self._call if self._call is not None else CURRENT.get()
        return self._worker.ask_sync(call, request)

    def render_task_prompt(self, task, context=None, events=None, force_string_to_message=False):
        return self._ask({
            "do": "render",
            "task": task_name(task),
            "context": plain(dict(context or {})),
            "events": plain(list(events or [])),
            "as_message": bool(force_string_to_message),
        })

    def parse_task_output(self, task, output, forced_output_parser=None):
        output = text(str(getattr(output, "content", output)))
        return self._ask({"do": "parse", "task": task_name(task), "output": output, "parser": forced_output_parser})

    def _facts(self, task):
        return self._ask({"do": "task", "task": task_name(task)})

    def has_output_parser(self, task):
        return self._facts(task).get("output_parser") is not None

    def get_stop_tokens(self, task):
        return self._facts(task).get("stop")

    def get_max_tokens(self, task):
        return self._facts(task).get("max_tokens")


def task_name(task):
    return str(getattr(task, "value", task))


class KnowledgeBase:
    """The knowledge base, searched by the crate."""

    def __init__(self, worker, call):
        self._worker = worker
        self._call = call

    async def search_relevant_chunks(self, text, max_results=3):
        return await self._worker.ask_async(self._call, {"do": "search", "text": str(text), "max_results": int(max_results)})
