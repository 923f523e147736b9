"""The fields' types are the format: what fits is read back equal, what does not is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fer_edge.errors import InputError
from fer_edge.typed_json import parse_json, to_json_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    length_px: int

    def __post_init__(self) -> None:
        if self.length_px < 0:
            raise ValueError(f"length_px: expected 0 or more, found {self.length_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    share: float
    flag: bool
    size_wh: tuple[int, int]
    samples_ms: Mapping[str, tuple[float, ...]]
    inner: Inner
    maybe: int | None
    either: Mapping[str, str | int]


GOOD: dict[str, Any] = {
    "name": "größe",
    "share": 0.1,
    "flag": True,
    "size_wh": [640, 480],
    "samples_ms": {"frame": [1.25, 2.0]},
    "inner": {"length_px": 3},
    "maybe": None,
    "either": {"a": 1, "b": "two"},
}


def test_there_and_back() -> None:
    read = parse_json(Outer, json.dumps(GOOD), "it")
    assert read == Outer(
        name="größe",
        share=0.1,
        flag=True,
        size_wh=(640, 480),
        samples_ms={"frame": (1.25, 2.0)},
        inner=Inner(length_px=3),
        maybe=None,
        either={"a": 1, "b": "two"},
    )
    assert parse_json(Outer, to_json_text(read), "it") == read
    assert list(json.loads(to_json_text(read))) == list(GOOD)


def test_a_whole_number_is_a_float_too() -> None:
    assert parse_json(Outer, json.dumps(GOOD | {"share": 1, "maybe": 4}), "it").share == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, "it: unknown key 'nmae'; did you mean name?"),
        ({"zzz": 1}, "it: unknown key 'zzz'; known: name, share"),
        ({"name": 1}, "it, name: expected str, found int"),
        ({"share": "1"}, "it, share: expected float, found str"),
        ({"share": True}, "it, share: expected float, found bool"),
        ({"share": float("nan")}, "it, share: expected a finite number, found nan"),
        ({"flag": 1}, "it, flag: expected bool, found int"),
        ({"size_wh": [1]}, "it, size_wh: expected 2 items, found 1"),
        ({"size_wh": [1, 2.5]}, r"it, size_wh\[1\]: expected int, found float"),
        ({"samples_ms": {"frame": 1.0}}, "it, samples_ms, frame: expected list, found float"),
        ({"samples_ms": []}, "it, samples_ms: expected dict, found list"),
        ({"inner": None}, "it, inner: expected dict, found nothing"),
        ({"inner": {}}, "it, inner: the key 'length_px' is missing"),
        ({"inner": {"length_px": -1}}, "it, inner: length_px: expected 0 or more, found -1"),
        ({"maybe": "1"}, "it, maybe: expected int, found str"),
        ({"either": {"a": 1.5}}, "it, either, a: expected str or int, found float"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        parse_json(Outer, json.dumps(GOOD | change), "it")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000], ids=["empty", "cut short", "deep"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(InputError, match="it: expected JSON"):
        parse_json(Outer, text, "it")
