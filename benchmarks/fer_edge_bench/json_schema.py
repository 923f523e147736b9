"""The JSON Schema (draft 2020-12) of a format that dataclasses define, for readers in other languages.

python -m fer_edge_bench.json_schema > docs/bench-record.schema.json
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from fer_edge_bench.record import SCHEMA, BenchRecord

__all__ = ["json_schema"]

_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean"}


def json_schema(kind: type, name: str) -> dict[str, Any]:
    """Return the schema of what `typed_json` reads as a dataclass.

    Args:
        kind: a dataclass whose fields have the types that `typed_json` knows.
        name: the value of its key "schema".
    """
    definitions: dict[str, Any] = {}
    top = _of_dataclass(kind, definitions)
    top["properties"]["schema"] = {"const": name}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def _of_dataclass(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind)]
    return {
        "description": (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "),
        "type": "object",
        "properties": {name: _of(hints[name], definitions) for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}
            definitions[kind.__name__] = _of_dataclass(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [{"type": "null"} if item is types.NoneType else _of(item, definitions) for item in arguments]}
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is tuple:
        items = [_of(item, definitions) for item in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    return {"type": _PLAIN[kind]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(BenchRecord, SCHEMA), indent=1) + "\n")
