# The worker: runs the Python of a rails directory for the crate that started it.
#
# The crate writes one JSON object a line to the pipe that was file descriptor 0, and reads one a line from the pipe that was
# descriptor 1. Both are moved to private descriptors before anything else is imported, so that what actions print, and what the
# processes that they start print, goes to the log (descriptor 2) and can never be taken for an answer.
#
# `start.py` runs the other files before this one, in one namespace with it. They need Python 3.9.

import asyncio
import atexit
import concurrent.futures
import contextvars
import functools
import json
import os
import queue
import signal
import sys
import threading
import time

# How long the worker may take to end by itself, in seconds.
END_PAUSE = 1.5

PROCESS = os.getpid()


class Over(Exception):
    """The call that asks is over."""


class Channel:
    """The way to the crate. Lines are written by a thread of their own: a full pipe stops nobody else."""

    def __init__(self, out, limit):
        self.out = out
        self.limit = limit
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self.write, name="guardrails-out", daemon=True).start()

    def line(self, message):
        line = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
        if len(line) > self.limit:
            raise CannotSend(f"what is to be sent is {len(line)} bytes long; at most {self.limit} are taken")
        return line + b"\n"

    def send(self, message):
        self.put(self.line(message))

    def put(self, line):
        # A copy of this process that an action made has no part in it.
        if os.getpid() != PROCESS:
            os._exit(0)
        self.lines.put(line)

    def write(self):
        while True:
            rest = memoryview(self.lines.get())
            while rest:
                try:
                    rest = rest[os.write(self.out, rest):]
                except OSError:
                    return


class Call:
    """One call of the crate's, while it runs."""

    def __init__(self, worker, message):
        self.worker = worker
        self.number = message["id"]
        self.message = message
        self.is_cancelled = False
        self.is_over = False
        # What it asks the crate, by number.
        self.asks = {}


CURRENT = contextvars.ContextVar("guardrails_call", default=None)


class ModelFailed(Exception):
    """A model of the crate's gave no answer."""

    def __init__(self, message, ask):
        super().__init__(message)
        self.ask = ask


class Worker:
    def __init__(self, come, out, settings):
        self.come = come
        self.settings = settings
        self.channel = Channel(out, settings["max_line"])
        self.registry = Registry(settings)
        self.tasks = {}
        self.asks = {}
        self.ask_number = 0
        self.stuck = 0
        self.lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        # Blocking code runs here. What cannot be cancelled keeps its thread until it is done.
        self.threads = concurrent.futures.ThreadPoolExecutor(settings["threads"], "guardrails-action")
        # Filters, parsers and variables of prompts: a few, so that no action can keep them waiting.
        self.helpers = concurrent.futures.ThreadPoolExecutor(4, "guardrails-helper")

    def run(self):
        threading.Thread(target=self.read, name="guardrails-in", daemon=True).start()
        try:
            self.registry.load(self)
            for lent in self.settings["lends"]:
                lend(lent)
            self.channel.send({"ready": self.registry.facts()})
        except BaseException as error:
            print(trace_of(error), file=sys.stderr)
            self.channel.send({"failed": failure_of(error), "place": getattr(error, "guardrails_place", None)})
            # The crate ends this process when it has read that.
            time.sleep(END_PAUSE)
            return
        self.loop.set_exception_handler(loop_failed)
        self.loop.run_forever()
        for _, task in list(self.tasks.values()):
            task.cancel()
        atexit._run_exitfuncs()

    def read(self):
        """Reads what the crate says, whatever else goes on. At the end of the pipe the crate is gone, and so is this process."""
        pieces = []
        while True:
            try:
                piece = os.read(self.come, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            *lines, rest = piece.split(b"\n")
            for line in lines:
                pieces.append(line)
                line = b"".join(pieces)
                pieces.clear()
                try:
                    self.take(json.loads(line))
                except Exception as error:
                    print(trace_of(error), file=sys.stderr)
            if rest:
                pieces.append(rest)
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            pass
        time.sleep(END_PAUSE)
        end()

    def take(self, message):
        if "reply" in message:
            self.settle(message["reply"], message)
        elif "cancel" in message:
            self.loop.call_soon_threadsafe(self.cancel, message["cancel"])
        elif message["do"] in ("filter", "parser", "variable"):
            self.helpers.submit(self.help, Call(self, message))
        else:
            self.loop.call_soon_threadsafe(self.start, Call(self, message))

    def start(self, call):
        context = contextvars.copy_context()
        context.run(CURRENT.set, call)
        self.tasks[call.number] = (call, context.run(self.loop.create_task, self.serve(call)))

    def cancel(self, number):
        call, task = self.tasks.get(number, (None, None))
        if task is None:
            self.channel.send({"ended": number, "stuck": self.stuck})
        else:
            call.is_cancelled = True
            task.cancel()

    async def serve(self, call):
        """Runs one call and answers it: whatever happens, there is one answer."""
        try:
            if call.message["do"] == "action":
                value = await self.registry.act(call)
            else:
                value = await self.blocking(functools.partial(LENT[call.message["do"]], call.message))
            line = self.answer(call, value)
        except BaseException as error:
            if call.is_cancelled and isinstance(error, asyncio.CancelledError):
                line = self.channel.line({"ended": call.number, "stuck": self.stuck})
            else:
                line = self.failed(call, error)
        finally:
            self.tasks.pop(call.number, None)
            self.close(call)
        self.channel.put(line)

    def close(self, call):
        """Ends the call: what it still waits for it does not get."""
        with self.lock:
            call.is_over = True
            numbers = list(call.asks)
        for number in numbers:
            self.settle(number, {"error": "the call is over"})

    def settle(self, number, message):
        with self.lock:
            call, waiting = self.asks.pop(number, (None, None))
            if call is not None:
                call.asks.pop(number, None)
        if waiting is not None and not waiting.done():
            try:
                waiting.set_result(message)
            except concurrent.futures.InvalidStateError:
                pass

    def help(self, call):
        CURRENT.set(call)
        try:
            line = self.answer(call, self.registry.help(call.message))
        except BaseException as error:
            line = self.failed(call, error)
        finally:
            self.close(call)
        self.channel.put(line)

    def answer(self, call, value):
        message = {"id": call.number}
        if type(value).__name__ == "ActionResult" and hasattr(value, "return_value"):
            message["events"] = plain(list(value.events or []))
            message["updates"] = plain(dict(value.context_updates or {}))
            value = value.return_value
        if is_outcome(value):
            message["outcome"] = True
        message["ok"] = plain(value)
        return self.channel.line(message)

    def failed(self, call, error):
        message = {"id": call.number, "error": failure_of(error), "traceback": trace_of(error)}
        model = model_failure_of(error)
        if model is not None:
            message["ask"] = model.ask
        return self.channel.line(message)

    async def blocking(self, function):
        """Runs `function` off the loop. Where the call is cancelled, its thread goes on until the function returns."""
        context = contextvars.copy_context()
        job = self.threads.submit(context.run, run_job, function)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if not job.cancel() and not job.done():
                with self.lock:
                    self.stuck += 1
                job.add_done_callback(self.unstuck)
            raise

    def unstuck(self, _):
        with self.lock:
            self.stuck -= 1

    def ask(self, call, request):
        """Asks the crate something: a future of its answer."""
        waiting = concurrent.futures.Future()
        with self.lock:
            if call is None or call.is_over:
                raise Over("this works only while an action runs: the call that it belongs to is over, or has not begun")
            self.ask_number += 1
            number = self.ask_number
            self.asks[number] = (call, waiting)
            call.asks[number] = waiting
        try:
            self.channel.send({"id": call.number, "ask": number, "question": request})
        except BaseException:
            self.forget(number)
            raise
        return number, waiting

    def forget(self, number):
        self.settle(number, {"error": "nobody waits for it"})

    async def ask_async(self, call, request):
        number, waiting = self.ask(call, request)
        try:
            return told(number, await asyncio.wrap_future(waiting))
        finally:
            self.forget(number)

    def ask_sync(self, call, request):
        number, waiting = self.ask(call, request)
        try:
            return told(number, waiting.result())
        finally:
            self.forget(number)


def told(number, message):
    if "error" in message:
        if message.get("model"):
            raise model_exception(ModelFailed(message["error"], number))
        raise RuntimeError(message["error"])
    return message.get("ok")


def run_job(function):
    try:
        return function()
    except StopIteration as error:
        # A future cannot carry it.
        raise RuntimeError("the action raised StopIteration") from error


def causes(error):
    seen = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [error.__cause__, error.__context__, getattr(error, "inner_exception", None)]


def model_failure_of(error):
    """The model's failure that `error` is, or was raised for on purpose; none where the action handled it."""
    if isinstance(error, ModelFailed):
        return error
    if type(error).__name__ == "LLMCallException":
        return next((cause for cause in causes(error) if isinstance(cause, ModelFailed)), None)
    return None


def model_exception(failure):
    """As the reference raises it, where its package is there or stood in for."""
    module = sys.modules.get("nemoguardrails.exceptions")
    kind = getattr(module, "LLMCallException", None)
    if kind is None:
        return failure
    try:
        return kind(failure)
    except Exception:
        return failure


def loop_failed(loop, context):
    error = context.get("exception")
    print(f"{context.get('message')}: {error!r}", file=sys.stderr)


def end():
    """Ends this process, and what it started, where it leads a group of its own."""
    try:
        if os.getpgrp() == PROCESS:
            os.killpg(PROCESS, signal.SIGKILL)
    except (OSError, AttributeError):
        pass
    os._exit(0)


def begin(come, out, settings):
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    # Last, so that nothing in the working directory hides a module; files of the application may yet import from it.
    sys.path.append(os.getcwd())
    sys.argv = ["guardrails-worker"]
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: [os.close(fd) for fd in (come, out)])
    stand_in()
    os.write(out, b"\n" + settings["token"].encode("ascii") + b"\n")
    worker = Worker(come, out, settings)
    worker.run()
    end()
