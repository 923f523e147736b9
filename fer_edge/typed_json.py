"""Dataclasses from JSON and back: the fields' types are the format, and what differs from them is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from fer_edge.errors import InputError

__all__ = ["from_json_types", "parse_json", "to_json_text"]

T = TypeVar("T")

# No count of bytes or of anything else needs more; Python's own have no end, and floats have.
_MAX_INT = 2**63 - 1


def to_json_text(value: Any) -> str:
    """Return a dataclass as JSON text, keys in the fields' order; numbers read back as they were."""
    return json.dumps(dataclasses.asdict(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def parse_json(kind: type[T], text: str, where: str) -> T:
    """Read the text that `to_json_text` wrote for a dataclass; `where` is what an error calls it.

    Raises:
        InputError: the text is no JSON, or is not what the fields say; the message names the key.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected JSON, found other text ({error})") from error
    return from_json_types(kind, content, where)


def from_json_types(kind: type[T], content: Any, where: str) -> T:
    """Make a dataclass from JSON types.

    Fields may be int, float, str, bool, dataclasses, `X | None`, `str | int`, `tuple[X, ...]`, `tuple[X, Y]` and
    `Mapping[str, X]`. A whole number is read as float where float is expected.

    Raises:
        InputError: a key is missing or unknown, a value has another type, or the dataclass refuses it.
    """
    made: T = _read(kind, content, where)
    return made


def _read(kind: Any, content: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, content, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _read_union(arguments, content, where)
    if origin is tuple:
        return _read_tuple(arguments, content, where)
    if origin is Mapping:
        entries = _expect(dict, content, where)
        return {key: _read(arguments[1], item, f"{where}, {key[:60]}") for key, item in entries.items()}
    if type(content) is int and abs(content) > _MAX_INT:
        raise InputError(f"{where}: expected a number of at most 63 bits, found one of {content.bit_length()}")
    if kind is float and isinstance(content, int) and not isinstance(content, bool):
        content = float(content)
    return _expect(kind, content, where)


def _read_fields(kind: Any, content: Any, where: str) -> Any:
    entries = _expect(dict, content, where)
    hints = typing.get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind)]
    for key in entries:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(names)
            raise InputError(f"{where}: unknown key {key[:60]!r}; {hint}")
    missing = [name for name in names if name not in entries]
    if missing:
        raise InputError(f"{where}: the key {missing[0]!r} is missing")
    values = {name: _read(hints[name], entries[name], f"{where}, {name}") for name in names}
    try:
        return kind(**values)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from error


def _read_union(options: tuple[Any, ...], content: Any, where: str) -> Any:
    if content is None and type(None) in options:
        return None
    kinds = [option for option in options if option is not type(None)]
    if len(kinds) == 1:
        return _read(kinds[0], content, where)
    if type(content) in kinds:
        return content
    raise InputError(f"{where}: expected {' or '.join(kind.__name__ for kind in kinds)}, found {_name(content)}")


def _read_tuple(arguments: tuple[Any, ...], content: Any, where: str) -> tuple[Any, ...]:
    items = _expect(list, content, where)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if len(items) != len(arguments):
        raise InputError(f"{where}: expected {len(arguments)} items, found {len(items)}")
    return tuple(
        _read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(arguments, items, strict=True))
    )


def _expect(kind: Any, content: Any, where: str) -> Any:
    # bool is a kind of int to Python, and NaN a number to its JSON reader; a record has neither where a number belongs.
    if type(content) is not kind:
        raise InputError(f"{where}: expected {kind.__name__}, found {_name(content)}")
    if kind is float and not math.isfinite(content):
        raise InputError(f"{where}: expected a finite number, found {content}")
    return content


def _name(content: Any) -> str:
    return "nothing" if content is None else type(content).__name__
