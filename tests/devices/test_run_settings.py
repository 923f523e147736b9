"""The settings of a profile as `fer-edge run` takes them."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from devices.recorded_trees import recorded, write_tree
from runtime_support import run_python

from fer_edge.board_settings import BoardSettings
from fer_edge.errors import UsageError
from fer_edge_devices import profile
from fer_edge_devices.run_settings import run_settings

ZERO = BoardSettings(
    title="Raspberry Pi Zero 2 W",
    size_wh=(640, 480),
    fps=10.0,
    engines=("litert", "onnx"),
    threads=2,
    min_face_px=80.0,
    detect_every=30,
)


def test_it_is_what_the_runtime_asks():
    (point,) = importlib.metadata.entry_points(group="fer_edge.board_settings")
    assert point.load() is run_settings


@pytest.mark.parametrize(
    ("device", "tree", "title"),
    [
        pytest.param(None, "raspberry-pi-5", "Raspberry Pi 5", id="this board"),
        pytest.param(None, "jetson-orin-nano", "Jetson Orin Nano", id="another"),
        pytest.param("raspberry-pi-5", "x86-pc", "Raspberry Pi 5", id="another one than this"),
        pytest.param(None, "x86-pc", None, id="a PC"),
        pytest.param(None, "container", None, id="nothing to recognise"),
        pytest.param("generic", "raspberry-pi-5", None, id="none wanted"),
    ],
)
def test_which_board(device, tree, title):
    found = run_settings(device, recorded(tree))
    assert (found and found.title) == title


def test_all_settings_are_the_profiles():
    assert run_settings(None, recorded("raspberry-pi-zero-2")) == ZERO


def test_a_board_that_has_no_profile_has_no_settings(tmp_path):
    tree = write_tree(tmp_path, {"/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit"})
    assert run_settings(None, tree) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raspberry-pi5", "did you mean raspberry-pi-5?"),
        ("RASPBERRY-PI-5", "did you mean raspberry-pi-5?"),
        ("vax", "known: generic, jetson-nano, jetson-orin-nano, raspberry-pi-3, raspberry-pi-4,"),
    ],
)
def test_a_name_that_no_profile_has(name, words):
    with pytest.raises(UsageError, match=re.escape(f"--device: there is no profile {name!r}; {words}")):
        run_settings(name, recorded("x86-pc"))


def test_a_machine_without_a_profile_reads_none():
    """What a run costs elsewhere: a few small modules, no reader of profiles, and neither numpy nor OpenCV."""
    done = run_python(
        "import sys\nfrom pathlib import Path\n"
        "from fer_edge_devices.run_settings import run_settings\n"
        "from fer_edge_devices.system_tree import SystemTree\n"
        "print(run_settings(None, SystemTree(Path(sys.argv[1]))))\n"
        "print([name for name in ('numpy', 'cv2', 'tomllib', 'fer_edge_devices.profile') if name in sys.modules])",
        str(recorded("x86-pc").root),
    )
    assert (done.stdout, done.stderr) == ("None\n[]\n", "")


def test_only_the_boards_own_profile_is_read(monkeypatch):
    parse, parsed = profile.parse_profile, []
    monkeypatch.setattr(profile, "parse_profile", lambda text, where: parsed.append(where) or parse(text, where))
    profile.read_profile.cache_clear()
    assert run_settings(None, recorded("raspberry-pi-4")).title == "Raspberry Pi 4 Model B"
    assert parsed == ["raspberry-pi-4.toml"]
