"""Who is asked for a board's settings."""

from __future__ import annotations

import importlib.metadata

import pytest

from fer_edge.board_settings import BoardSettings, board_settings
from fer_edge.errors import MissingExtraError, UsageError

SETTINGS = BoardSettings(
    title="Test Board",
    size_wh=(320, 240),
    fps=5.0,
    engines=("litert",),
    threads=1,
    min_face_px=60.0,
    detect_every=20,
)


def provide(device):
    return SETTINGS if device in (None, "test-board") else None


@pytest.fixture
def points(monkeypatch):
    """Function that says which entry points are installed."""

    def put(*found):
        def entry_points(*, group):
            assert group == "fer_edge.board_settings"
            return found

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    return put


def test_the_provider_is_asked(points):
    points(type("Point", (), {"load": staticmethod(lambda: provide)}))
    assert board_settings() is SETTINGS
    assert board_settings("test-board") is SETTINGS
    assert board_settings("generic") is None


def test_two_providers_would_be_a_choice_by_chance(points):
    points(*[type("Point", (), {"value": f"{name}:settings"}) for name in ("first", "second")])
    with pytest.raises(
        UsageError, match=r"^expected one package that knows boards, found first:settings, second:settings"
    ):
        board_settings()


def test_a_provider_that_is_broken(points):
    def load():
        raise ImportError("No module named 'boards'")

    points(type("Point", (), {"value": "boards:settings", "load": staticmethod(load)}))
    with pytest.raises(
        MissingExtraError, match=r"^boards:settings cannot be imported \(No module named 'boards'\); install"
    ):
        board_settings()


def test_without_a_provider_there_is_no_board(points):
    points()
    assert board_settings() is None
    with pytest.raises(
        UsageError, match=r"^--device: no board is known here, found 'raspberry-pi-5'; install fer-edge"
    ):
        board_settings("raspberry-pi-5")
