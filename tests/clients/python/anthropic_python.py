import anthropic

from common import BASE, run

client = anthropic.Anthropic(base_url=BASE, api_key="k", max_retries=0)
TOOL = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def asked(text):
    return {"model": "claude", "max_tokens": 99, "messages": [{"role": "user", "content": text}]}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def whole(text):
    message = client.messages.create(**asked(text))
    return text_of(message), message.stop_reason


def stream(text):
    said, end = "", None
    for event in client.messages.create(**asked(text), stream=True):
        if event.type == "content_block_delta":
            said += event.delta.text
        if event.type == "message_delta":
            end = event.delta.stop_reason
    return said, end


def helper_stream(text):
    with client.messages.stream(**asked(text)) as events:
        said = "".join(events.text_stream)
        message = events.get_final_message()
        assert text_of(message) == said, (message, said)
        return said, message.stop_reason


def tool_whole(text):
    call = client.messages.create(**asked(text), tools=[TOOL]).content[0]
    return call.name, call.input


def tool_stream(text):
    with client.messages.stream(**asked(text), tools=[TOOL]) as events:
        call = events.get_final_message().content[0]
        return call.name, call.input


def tool_result(text):
    request = asked(text)
    message = client.messages.create(**request, tools=[TOOL])
    result = {"type": "tool_result", "tool_use_id": message.content[0].id, "content": "21 degrees"}
    request["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    return text_of(client.messages.create(**request, tools=[TOOL]))


run(
    messages=dict(whole=whole, stream=stream, refused="refusal", tool_whole=tool_whole, tool_stream=tool_stream, tool_result=tool_result),
    helpers=dict(whole=whole, stream=helper_stream, refused="refusal"),
)
