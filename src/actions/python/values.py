# Values as JSON can say them, and errors in words.

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import json
import math
import os
import pathlib
import traceback
import uuid

# How deep values may lie in each other.
MAX_DEPTH = 100
class CannotSend(Exception):
    """A value that JSON has no word for."""


def plain(value, depth=0):
    """`value` as JSON can say it: what cannot be said is an error, and never a guess."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is int:
        return whole(value)
    if kind is float:
        return number(value)
    if isinstance(value, str):
        return text(value.value if isinstance(value, enum.Enum) else value)
    if depth >= MAX_DEPTH:
        raise CannotSend(f"the value is more than {MAX_DEPTH} levels deep")
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, int):
        return whole(int(value))
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise CannotSend("the bytes are no UTF-8") from None
    if isinstance(value, collections.abc.Mapping):
        return {key_of(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset, collections.abc.Set)):
        items = [plain(item, depth + 1) for item in value]
        try:
            return sorted(items)
        except TypeError:
            return items
    if isinstance(value, (list, tuple, collections.deque, collections.abc.ValuesView)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return number(float(value))
    if isinstance(value, (uuid.UUID, pathlib.PurePath)):
        return text(str(value))
    if isinstance(value, complex):
        raise CannotSend("a complex number cannot be sent")
    if is_outcome(value):
        return outcome(value, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields}
    for method in ("model_dump", "tolist", "item", "to_dict", "dict", "_asdict"):
        convert = getattr(kind, method, None)
        if callable(convert):
            return plain(convert(value), depth + 1)
    if not isinstance(value, type) and getattr(kind, "__bool__", None) is not None:
        return bool(value)
    raise CannotSend(f"a value of the type `{kind.__module__}.{kind.__qualname__}` cannot be sent")


def whole(value):
    if -(1 << 63) <= value < (1 << 64):
        return value
    try:
        return float(value)
    except OverflowError:
        raise CannotSend("a whole number is too large") from None


def number(value):
    if not math.isfinite(value):
        raise CannotSend(f"the number `{value}` cannot be sent")
    return value


def text(value):
    # Half of a surrogate pair is no character.
    return str(value).encode("utf-8", "replace").decode("utf-8") if not value.isascii() else str(value)


def key_of(key):
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return text(key)
    if key is None or isinstance(key, (bool, int)):
        return json.dumps(key)
    if isinstance(key, float):
        return json.dumps(number(key))
    raise CannotSend(f"a key of the type `{type(key).__qualname__}` cannot be sent")


def is_outcome(value):
    return type(value).__name__ == "RailOutcome" and hasattr(value, "decision") and hasattr(value, "transforms")


def outcome(value, depth=0):
    """A rail's verdict, as the crate's own rails give it."""
    decision = getattr(value.decision, "value", value.decision)
    return {
        "decision": decision,
        "is_blocked": decision == "block",
        "is_transform": decision == "transform",
        "transform_text": {
            str(getattr(spec.target, "value", spec.target)): text(spec.text) for spec in value.transforms
        },
        "reason": value.reason,
        "failed": bool(getattr(value, "failed", False)),
        "metadata": plain(dict(value.metadata), depth + 1),
    }


def failure_of(error):
    if isinstance(error, SystemExit):
        return "the code called `sys.exit`"
    words = str(error)
    return text(f"{type(error).__name__}: {words}"[:2000] if words else type(error).__name__)


def trace_of(error):
    try:
        return text("".join(traceback.format_exception(type(error), error, error.__traceback__))[-20000:])
    except Exception:
        return ""


def same_file(one, other):
    try:
        return one is not None and os.path.samefile(one, other)
    except OSError:
        return False


def line_in(error, path):
    """The line of the file that the error came from."""
    if isinstance(error, SyntaxError) and same_file(error.filename, path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if same_file(frame.filename, path)]
    return lines[-1] if lines else None
