from __future__ import annotations

import pytest

from fer_edge import errors

TABLE = [
    ("FerEdgeError", Exception, 1),
    ("InputError", ValueError, 1),
    ("OutputError", OSError, 1),
    ("EngineError", RuntimeError, 1),
    ("UsageError", ValueError, 2),
    ("MissingExtraError", ImportError, 3),
    ("IntegrityError", ValueError, 4),
    ("GateError", RuntimeError, 5),
]


@pytest.mark.parametrize(("name", "builtin", "exit_code"), TABLE, ids=[row[0] for row in TABLE])
def test_bases_exit_code_and_text(name, builtin, exit_code):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.FerEdgeError)
    assert issubclass(kind, builtin)
    assert kind.exit_code == exit_code
    # OSError and ImportError have arguments of their own; the text must come through all the same.
    assert str(kind("expected this, found that")) == "expected this, found that"


def test_the_table_is_whole():
    assert [name for name, _, _ in sorted(TABLE)] == errors.__all__
