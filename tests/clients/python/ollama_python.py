import ollama

from common import BASE, run

client = ollama.Client(host=BASE)
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def messages(text):
    return [{"role": "user", "content": text}]


def whole(text):
    reply = client.chat("m", messages(text))
    return reply.message.content, reply.done_reason


def stream(text):
    said, end = "", None
    for reply in client.chat("m", messages(text), stream=True):
        said += reply.message.content or ""
        end = reply.done_reason or end
    return said, end


def generate(text):
    reply = client.generate("m", text)
    return reply.response, reply.done_reason


def generate_stream(text):
    said, end = "", None
    for reply in client.generate("m", text, stream=True):
        said += reply.response or ""
        end = reply.done_reason or end
    return said, end


def call_of(reply):
    call = reply.message.tool_calls[0].function
    return call.name, call.arguments


def tool_whole(text):
    return call_of(client.chat("m", messages(text), tools=[TOOL]))


def tool_stream(text):
    replies = client.chat("m", messages(text), tools=[TOOL], stream=True)
    return call_of(next(reply for reply in replies if reply.message.tool_calls))


def tool_result(text):
    asked = messages(text)
    reply = client.chat("m", asked, tools=[TOOL])
    asked += [reply.message, {"role": "tool", "content": "21 degrees", "tool_name": "get_weather"}]
    return client.chat("m", asked, tools=[TOOL]).message.content


run(
    chat=dict(whole=whole, stream=stream, refused="content_filter", tool_whole=tool_whole, tool_stream=tool_stream, tool_result=tool_result),
    generate=dict(whole=generate, stream=generate_stream, refused="content_filter"),
)
