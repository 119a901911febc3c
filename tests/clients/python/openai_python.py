import asyncio
import json

import openai

from common import BASE, run

client = openai.OpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
FLAT_TOOL = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}


def asked(text):
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def whole(text):
    choice = client.chat.completions.create(**asked(text)).choices[0]
    return choice.message.content, choice.finish_reason


def stream(text):
    said, end = "", None
    for chunk in client.chat.completions.create(**asked(text), stream=True):
        said += chunk.choices[0].delta.content or ""
        end = chunk.choices[0].finish_reason or end
    return said, end


def async_whole(text):
    async def ask():
        async with openai.AsyncOpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0) as later:
            choice = (await later.chat.completions.create(**asked(text))).choices[0]
            return choice.message.content, choice.finish_reason

    return asyncio.run(ask())


def helper_stream(text):
    """The stream that puts a completion together by itself. It raises an error of its own at the finish that a filter gives."""
    said = ""
    with client.chat.completions.stream(**asked(text)) as events:
        try:
            for event in events:
                if event.type == "content.delta":
                    said += event.delta
            return said, events.get_final_completion().choices[0].finish_reason
        except openai.ContentFilterFinishReasonError:
            return said, "content_filter"


def tool_whole(text):
    call = client.chat.completions.create(**asked(text), tools=[TOOL]).choices[0].message.tool_calls[0]
    return call.function.name, json.loads(call.function.arguments)


def tool_stream(text):
    name, arguments = "", ""
    for chunk in client.chat.completions.create(**asked(text), tools=[TOOL], stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    return name, json.loads(arguments)


def tool_result(text):
    request = asked(text)
    message = client.chat.completions.create(**request, tools=[TOOL]).choices[0].message
    request["messages"] += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 degrees"}]
    return client.chat.completions.create(**request, tools=[TOOL]).choices[0].message.content


def end(response):
    reason = response.incomplete_details.reason if response.incomplete_details else None
    return reason or response.status


def response_whole(text):
    response = client.responses.create(model="m", input=text)
    return response.output_text, end(response)


def response_stream(text):
    said, last = "", None
    for event in client.responses.create(model="m", input=text, stream=True):
        if event.type == "response.output_text.delta":
            said += event.delta
        if event.type in ("response.completed", "response.incomplete"):
            last = event.response
    assert last.output_text == said, (last.output_text, said)
    return said, end(last)


def response_helper(text):
    with client.responses.stream(model="m", input=text) as events:
        last = None
        for event in events:
            if event.type in ("response.completed", "response.incomplete"):
                last = event.response
        return last.output_text, end(last)


def response_tool(text):
    call = client.responses.create(model="m", input=text, tools=[FLAT_TOOL]).output[0]
    return call.name, json.loads(call.arguments)


def response_tool_stream(text):
    arguments = ""
    for event in client.responses.create(model="m", input=text, tools=[FLAT_TOOL], stream=True):
        if event.type == "response.function_call_arguments.delta":
            arguments += event.delta
        if event.type == "response.completed":
            call = event.response.output[0]
    assert arguments == call.arguments
    return call.name, json.loads(arguments)


def response_tool_result(text):
    items = [{"role": "user", "content": text}]
    call = client.responses.create(model="m", input=items, tools=[FLAT_TOOL]).output[0]
    items += [call, {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}]
    return client.responses.create(model="m", input=items, tools=[FLAT_TOOL]).output_text


run(
    chat=dict(whole=whole, stream=stream, refused="content_filter", tool_whole=tool_whole, tool_stream=tool_stream, tool_result=tool_result),
    helpers=dict(whole=async_whole, stream=helper_stream, refused="content_filter"),
    responses=dict(
        whole=response_whole,
        stream=response_stream,
        refused="content_filter",
        tool_whole=response_tool,
        tool_stream=response_tool_stream,
        tool_result=response_tool_result,
    ),
    response_helpers=dict(whole=response_whole, stream=response_helper, refused="content_filter"),
)
