"""The seven expressions, and what each data set's authors call them.

The names are of apparent expressions: what a face looks like to those who labelled it.
"""

from __future__ import annotations

__all__ = ["CONTEMPT", "EXPRESSIONS", "PAPER_A_NAMES", "expression_of", "known_names"]

# FER-2013's order: every set that is read has its labels in it.
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# CK+ and FER+ have it, the papers' seven classes do not.
CONTEMPT = "contempt"

# The first name is ours; the codes of two letters are KDEF's and JAFFE's.
_NAMES = (
    ("angry", "anger", "an"),
    ("disgust", "disgusted", "di"),
    ("fear", "fearful", "afraid", "af", "fe"),
    ("happy", "happiness", "ha"),
    ("sad", "sadness", "sa"),
    ("surprise", "surprised", "su"),
    ("neutral", "ne"),
    (CONTEMPT, "contemptuous"),
)
_EXPRESSION_OF = {name: names[0] for names in _NAMES for name in names}

# Paper A's tables, in its order. Its data sets have disgust and nothing called bored, so "bored" is their disgust. It
# is no name of a class folder: elsewhere boredom is another expression.
PAPER_A_NAMES = {
    "angry": "angry",
    "bored": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprised": "surprise",
}


def expression_of(name: str) -> str | None:
    """Return our name for an expression that a data set calls `name`, in any case; None where it is none we know."""
    return _EXPRESSION_OF.get(name.strip().casefold())


def known_names() -> str:
    """Return the names of whole words that `expression_of` knows, for messages."""
    return ", ".join("/".join(name for name in names if len(name) > 2) for names in _NAMES)
