"""What a converter raises, in one line that names the op and where it is, where the converter tells them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fer_edge.errors import InputError

__all__ = ["conversion_errors", "one_line"]

# TFLite's converter:  error: loc(callsite(fused["Svd:", "model/Svd@__inference_1"] …): 'tf.Svd' op is neither …
_OF_LITERT = re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op")
_PLACE_OF_LITERT = re.compile(r'fused\["(?P<op>\w+):", "(?P<place>[^"@]+)')
_OF_TF2ONNX = re.compile(r"Tensorflow op \[(?P<place>.+): (?P<op>\w+)\] is not supported")
_MAX_LENGTH = 300


class _UnknownOpError(Exception):
    """An op that a converter has no translation for; the text names it and its place."""


class _UnknownOpHandler(logging.Handler):
    """Ends tf2onnx where it logs an op that it does not know: it would go on, and give a network that nothing runs."""

    def emit(self, record: logging.LogRecord) -> None:
        if found := _OF_TF2ONNX.search(record.getMessage()):
            raise _UnknownOpError(f"{found['op']} at {found['place']}")


@contextmanager
def conversion_errors(where: str, target: str) -> Iterator[None]:
    """Turn whatever a converter raises inside into an InputError.

    Args:
        where: the file that is converted.
        target: "LiteRT" or "ONNX".

    Raises:
        InputError: something was raised, or an op has no translation; the message names that op.
    """
    log, handler = logging.getLogger("tf2onnx"), _UnknownOpHandler()
    log.addHandler(handler)
    try:
        yield
    except Exception as error:  # converters raise anything
        unknown = str(error) if isinstance(error, _UnknownOpError) else _unknown_op_of_litert(str(error))
        raise InputError(
            f"{where}: {target} has nothing for the op {unknown}; build the network without it, or leave {target} out"
            if unknown
            else f"{where}: it cannot be converted to {target} ({one_line(error)}); leave {target} out"
        ) from error
    finally:
        log.removeHandler(handler)


def one_line(error: BaseException) -> str:
    """Return an error's class and text on one line, cut to a length that can be read."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:_MAX_LENGTH]


def _unknown_op_of_litert(text: str) -> str | None:
    if not (found := _OF_LITERT.search(text)):
        return None
    op = found["op"]
    places = [place["place"] for place in _PLACE_OF_LITERT.finditer(text) if place["op"] == op]
    return f"{op} at {places[0]}" if places else op
