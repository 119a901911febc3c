from google import genai
from google.genai import types

from common import BASE, run

client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=BASE))
DECLARED = types.FunctionDeclaration(
    name="get_weather", parameters={"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
)
TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[DECLARED])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def end(reply):
    reason = reply.candidates[0].finish_reason
    return reason.name if reason else None


def whole(text):
    reply = client.models.generate_content(model="g", contents=text)
    return reply.text, end(reply)


def stream(text):
    said, last = "", None
    for reply in client.models.generate_content_stream(model="g", contents=text):
        said += reply.text or ""
        last = end(reply) or last
    return said, last


def call_of(reply):
    call = reply.function_calls[0]
    return call.name, call.args


def tool_whole(text):
    return call_of(client.models.generate_content(model="g", contents=text, config=TOOLS))


def tool_stream(text):
    replies = client.models.generate_content_stream(model="g", contents=text, config=TOOLS)
    return call_of(next(reply for reply in replies if reply.function_calls))


def tool_result(text):
    asked = types.Content(role="user", parts=[types.Part(text=text)])
    reply = client.models.generate_content(model="g", contents=[asked], config=TOOLS)
    result = types.Part.from_function_response(name="get_weather", response={"result": "21 degrees"})
    contents = [asked, reply.candidates[0].content, types.Content(role="user", parts=[result])]
    return client.models.generate_content(model="g", contents=contents, config=TOOLS).text


run(
    models=dict(whole=whole, stream=stream, refused="SAFETY", tool_whole=tool_whole, tool_stream=tool_stream, tool_result=tool_result)
)
