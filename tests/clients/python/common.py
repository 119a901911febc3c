"""What every client is put through. A client is told by functions: `whole` and `stream` give a text and how it ended, `tool_whole` and
`tool_stream` the name and the arguments of a call, `tool_result` the answer to a call's result."""

import sys
import traceback

REFUSAL = "I'm sorry, I can't respond to that."
PLAIN = "The capital of France is Paris."
MASKED = "Write to <EMAIL_ADDRESS> soon."
BASE, MODE = sys.argv[1:]


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def masked(whole, stream, **_):
    for name, ask in (("", whole), (", streamed", stream)):
        yield "masked out" + name, lambda ask=ask: equal(ask("say mail")[0], MASKED)
        yield "masked in" + name, lambda ask=ask: equal(
            ask("say ann@example.com please")[0], "You said: <EMAIL_ADDRESS> please"
        )


def blocked(whole, stream, refused, tool_whole=None, tool_stream=None, tool_result=None):
    for name, ask in (("", whole), (", streamed", stream)):
        yield "plain" + name, lambda ask=ask: equal(ask("say plain")[0], PLAIN)
        yield "blocked in" + name, lambda ask=ask: equal(ask("say badword"), (REFUSAL, refused))
        yield "blocked out" + name, lambda ask=ask: equal(ask("say key first"), (REFUSAL, refused))
    yield "blocked out late", lambda: equal(whole("say key late"), (REFUSAL, refused))

    def midway():
        text, end = stream("say key late")
        assert text.startswith("Of course. The key is ") and text.endswith(REFUSAL), text
        assert "sk-" not in text, text
        equal(end, refused)

    yield "blocked in the middle of a stream", midway
    call = ("get_weather", {"city": "Paris"})
    if tool_whole:
        yield "tool", lambda: equal(tool_whole("say tool"), call)
    if tool_stream:
        yield "tool, streamed", lambda: equal(tool_stream("say tool"), call)
    if tool_result:
        yield "tool's result", lambda: equal(tool_result("say tool"), "It is 21 degrees.")


def run(**clients):
    failed = 0
    for client, functions in clients.items():
        for name, case in {"blocked": blocked, "masked": masked}[MODE](**functions):
            try:
                case()
                print(f"ok {client}: {name}")
            except Exception:
                failed += 1
                print(f"FAILED {client}: {name}\n{traceback.format_exc()}")
    sys.exit(1 if failed else 0)
