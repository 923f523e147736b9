"""JSON read strictly: no key twice, unknown or missing, numbers finite, texts without control characters."""

from __future__ import annotations

import difflib
import json
import math
import re
from typing import Any, TypeVar

from fer_edge.errors import IntegrityError

__all__ = ["Node", "parse_object"]

# Control characters could rewrite the terminal that shows them; lone surrogates cannot be written at all.
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# The manifest itself nests 6 deep; provenance may go further.
_MAX_DEPTH = 32

T = TypeVar("T")


def parse_object(text: str, where: str) -> Node:
    """Parse a JSON object; `where` is what an error calls it.

    Raises:
        IntegrityError: the text is no JSON, no object, nested too deeply, or has a key twice or a number that is none.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} is no JSON ({error}); make the bundle again") from error
    level = [content]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise IntegrityError(f"{where}: expected at most {_MAX_DEPTH} levels of nesting, found more")
    return Node(content, where)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key[:60]!r} is there twice")
        content[key] = value
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


class Node:
    """A JSON object being read: every key must be asked for, none may be left over.

    Every method but `finish` and `fail` asks for a key, and raises IntegrityError where it is missing or its value is
    of another kind.
    """

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise IntegrityError(f"{where}: expected an object, found {type(content).__name__}")
        self._content: dict[str, Any] = content
        self._where = where
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def value(self, key: str, kind: type[T]) -> T:
        """Return a value of a kind; a whole number is taken for a float, a boolean for no number."""
        found = self._get(key)
        if kind is float and isinstance(found, int) and not isinstance(found, bool):
            try:
                found = float(found)
            except OverflowError:
                found = math.inf
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise IntegrityError(f"{self._where}, {key}: expected {kind.__name__}, found {type(found).__name__}")
        if isinstance(found, float) and not math.isfinite(found):
            raise self.fail(f"{key}: expected a smaller number")
        if isinstance(found, str):
            self._check_text(key, found)
        return found

    def free(self, key: str) -> dict[str, Any]:
        """Return an object of free content, whose keys are plain text at every depth."""
        found = self.value(key, dict)
        waiting: list[Any] = [found]
        while waiting:
            content = waiting.pop()
            if isinstance(content, dict):
                for inner in content:
                    if _NOT_TEXT.search(inner):
                        raise self.fail(f"{key}: expected keys without control characters, found {inner[:60]!r}")
                waiting.extend(content.values())
            elif isinstance(content, list):
                waiting.extend(content)
        return found

    def optional(self, key: str, kind: type[T]) -> T | None:
        """Return a value of a kind, or None for null."""
        return None if self._get(key) is None else self.value(key, kind)

    def items(self, key: str, kind: type[T]) -> list[T]:
        """Return a list whose items are of a kind."""
        found = self.value(key, list)
        for item in found:
            if not isinstance(item, kind) or isinstance(item, bool):
                raise IntegrityError(
                    f"{self._where}, {key}: expected a list of {kind.__name__}, found {type(item).__name__} in it"
                )
            if isinstance(item, str):
                self._check_text(key, item)
        return found

    def node(self, key: str) -> Node:
        """Return an object, to be read in its turn."""
        return Node(self._get(key), f"{self._where}, {key}")

    def optional_node(self, key: str) -> Node | None:
        """Return an object, or None for null."""
        return None if self.optional(key, dict) is None else self.node(key)

    def nodes(self, key: str) -> list[Node]:
        """Return a list of objects."""
        return [Node(item, f"{self._where}, {key}[{i}]") for i, item in enumerate(self.value(key, list))]

    def finish(self) -> None:
        """Raise IntegrityError where a key was not asked for."""
        for key in (key for key in self._content if key not in self._asked):
            near = difflib.get_close_matches(key, sorted(self._asked), n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(self._asked))
            raise IntegrityError(f"{self._where}: unknown key {key[:60]!r}; {hint}")

    def fail(self, message: str) -> IntegrityError:
        """Return the error that says where in the text something is wrong."""
        return IntegrityError(f"{self._where}: {message}")

    def _check_text(self, key: str, text: str) -> None:
        if _NOT_TEXT.search(text):
            raise self.fail(f"{key}: expected text without control characters, found {text[:60]!r}")

    def _get(self, key: str) -> Any:
        self._asked.add(key)
        if key not in self._content:
            raise IntegrityError(f"{self._where}: the key {key!r} is missing")
        return self._content[key]
