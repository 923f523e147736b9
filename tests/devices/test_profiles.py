"""Profiles: the ones that ship are what they promise, and a file that is not is refused by name."""

from __future__ import annotations

import re
import sys
from importlib import resources

import pytest
from devices.recorded_trees import TREES, RecordedTool, recorded

from fer_edge.errors import InputError, MissingExtraError
from fer_edge_devices import profile as profile_module
from fer_edge_devices.board import SLUGS, Board, recognise_board
from fer_edge_devices.processor import read_processor
from fer_edge_devices.profile import (
    parse_profile,
    profile_for,
    profile_slugs,
    read_profiles,
    recommended_run_options,
)
from fer_edge_devices.sensors import Sensors

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

BOARDS = [
    "jetson-nano",
    "jetson-orin-nano",
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "raspberry-pi-zero-2",
]


def shipped_text(slug):
    return (resources.files("fer_edge_devices") / "profiles" / f"{slug}.toml").read_text(encoding="utf-8")


def test_those_that_ship():
    assert list(read_profiles()) == list(profile_slugs()) == sorted([*BOARDS, "generic"])


@pytest.mark.parametrize("device", BOARDS)
def test_the_profile_of_a_recorded_board(device):
    profile = profile_for(recognise_board(recorded(device)))
    assert profile.slug == device
    processor = read_processor(recorded(device))
    assert (profile.hardware.cores, (profile.hardware.core,)) == (processor.cores_total, processor.core_parts)


@pytest.mark.parametrize("device", BOARDS)
def test_the_sensors_promised_are_those_that_are_read(device):
    reading = Sensors(recorded(device), run=RecordedTool(TREES / device)).read()
    found = {
        "temperature": bool(reading.temperatures_c),
        "clock": bool(reading.clocks_mhz),
        "throttling": reading.throttling is not None,
        "power": bool(reading.power_w),
    }
    assert read_profiles()[device].sensors == tuple(kind for kind, is_there in found.items() if is_there)


@pytest.mark.parametrize("slug", sorted(set(SLUGS) - set(BOARDS)))
def test_a_board_without_one_gets_the_generic(slug):
    assert profile_for(Board(slug=slug, model="any", family="other")).slug == "generic"


@pytest.mark.parametrize("slug", [*BOARDS, "generic"])
def test_every_profile_can_be_followed(slug):
    profile = read_profiles()[slug]
    if profile.hardware is not None:
        assert profile.run.threads <= profile.hardware.cores
        assert profile.service.memory_max_mb <= profile.hardware.memory_mb[-1]


@pytest.mark.parametrize("slug", [*BOARDS, "generic"])
def test_what_is_no_measurement_says_so(slug):
    settings = shipped_text(slug).partition("# What follows is a starting point and no measurement: ")[2]
    assert set(tomllib.loads(settings.partition("\n")[2])) == {"camera", "run", "service"}


def test_the_generic_one_starts_as_the_runtime_does():
    from fer_edge.detector import DetectorOptions
    from fer_edge.tracking import TrackerOptions

    run = read_profiles()["generic"].run
    assert (run.min_face_px, run.detect_every) == (DetectorOptions().min_face_px, TrackerOptions().detect_every)


@pytest.mark.parametrize(
    ("usable", "tuned", "expected"),
    [
        pytest.param(["onnx", "litert"], False, {"engine": "litert", "threads": 2}, id="the profile's order"),
        pytest.param(["onnx-cuda", "onnx"], False, {"engine": "onnx", "threads": 2}, id="a GPU is not taken by itself"),
        pytest.param(["openvino"], False, {"threads": 2}, id="none of the profile's"),
        pytest.param(["litert"], True, {}, id="tuned"),
    ],
)
def test_options_to_start_with(usable, tuned, expected):
    profile = read_profiles()["jetson-orin-nano"]
    found = recommended_run_options(profile, usable, tuned=tuned)
    assert found == {**expected, "min-face": 40.0, "detect-every": 5}


def test_a_camera_is_asked_for_the_profiles_size():
    asked = recommended_run_options(read_profiles()["jetson-orin-nano"], [], tuned=True, camera=True)
    assert asked == {"size": "1280x720", "fps": 30.0, "min-face": 40.0, "detect-every": 5}


@pytest.mark.parametrize("slug", [*BOARDS, "generic"])
def test_the_options_are_ones_of_fer_edge_run(slug):
    import argparse

    from fer_edge.commands.run import COMMAND

    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    profile = read_profiles()[slug]
    options = recommended_run_options(profile, profile.run.engines, camera=True)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    found = parser.parse_args(["0", *words])
    assert (found.engine, found.threads) == (profile.run.engines[0], profile.run.threads)
    assert (found.size, found.fps) == ("{}x{}".format(*profile.camera.size_wh), profile.camera.fps)
    assert (found.min_face, found.detect_every) == (profile.run.min_face_px, profile.run.detect_every)


def changed(old, new):
    text = shipped_text("raspberry-pi-5")
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("cores = ", "raspberry-pi-5.toml: expected a profile as TOML, found other text (", id="no TOML"),
        pytest.param(changed("fps =", "fsp ="), "camera: unknown key 'fsp'; did you mean fps?", id="a near key"),
        pytest.param(changed("[run]", "[runs]"), ": unknown key 'runs'; did you mean run?", id="a near table"),
        pytest.param(
            changed("throttle_c =", "throttle ="),
            "hardware: unknown key 'throttle'; did you mean throttle_c?",
            id="a near key of a table with defaults",
        ),
        pytest.param(changed("threads = 2\n", ""), "run: the key 'threads' is missing", id="a missing key"),
        pytest.param(
            changed("[service]\nmemory_max_mb = 512\n", ""), "the key 'service' is missing", id="a missing table"
        ),
        pytest.param(changed("threads = 2", 'threads = "2"'), "run, threads: expected int, found str", id="a text"),
        pytest.param(
            changed("threads = 2", "threads = true"), "run, threads: expected int, found bool", id="a truth value"
        ),
        pytest.param(changed("threads = 2", "threads = 0"), "threads: expected 1 or more, found 0", id="no thread"),
        pytest.param(changed("size_wh = [640, 480]", "size_wh = [640]"), "expected 2 items, found 1", id="one side"),
        pytest.param(changed("[640, 480]", "[640, 0]"), "size_wh: expected 1 or more, found [640, 0]", id="no height"),
        pytest.param(changed("fps = 30.0", "fps = nan"), "camera, fps: expected a finite number", id="no number"),
        pytest.param(
            changed("fps = 30.0", "fps = 0"), "fps: expected above 0 and at most 1000, found 0", id="no frames"
        ),
        pytest.param(
            changed("min_face_px = 40.0", "min_face_px = 8"), "min_face_px: expected 12 or more", id="small face"
        ),
        pytest.param(
            changed('"litert", "onnx"', ""), "engines: expected one or more, none twice, found []", id="no engine"
        ),
        pytest.param(
            changed('"litert", "onnx"', '"onnx-cuda", "onnx"'),
            "engines: expected litert, onnx, openvino, found 'onnx-cuda'",
            id="an engine that is not taken by itself",
        ),
        pytest.param(
            changed('"litert", "onnx"', '"onnx", "onnx"'), "none twice, found ['onnx', 'onnx']", id="one twice"
        ),
        pytest.param(
            changed('"power"', '"volume"'), "sensors: expected temperature, clock, throttling, power, found", id="kind"
        ),
        pytest.param(
            changed("1024, 2048", "2048, 1024"), "memory_mb: expected ascending sizes, found [2048, 1024,", id="sizes"
        ),
        pytest.param(changed("cores = 4", "cores = 0"), "hardware: cores: expected 1 or more, found 0", id="no core"),
        pytest.param(changed("throttle_c = 80.0", "throttle_c = 353.0"), "throttle_c: expected 0 to 150", id="kelvin"),
        pytest.param(changed("= 512", "= 0"), "memory_max_mb: expected 1 or more, found 0", id="no memory"),
        pytest.param(
            changed('slug = "raspberry-pi-5"', 'slug = "raspberry"'), "slug: expected one of ", id="unknown slug"
        ),
        pytest.param(
            changed('slug = "raspberry-pi-5"', 'slug = "raspberry-pi-4"'),
            "expected the slug 'raspberry-pi-5', found 'raspberry-pi-4'",
            id="another file's slug",
        ),
    ],
)
def test_a_file_that_is_no_profile(text, message):
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        parse_profile(text, "raspberry-pi-5.toml")
    assert str(raised.value).startswith("raspberry-pi-5.toml")
    assert "\n" not in str(raised.value)


def test_python_without_a_reader_says_what_to_install(monkeypatch):
    monkeypatch.setattr(profile_module.sys, "version_info", (3, 10, 12))
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(
        MissingExtraError, match=r"^device profiles need tomli on Python 3\.10 \(.+\); pip install tomli$"
    ):
        parse_profile("", "generic.toml")


def test_python_3_10_reads_with_tomli(monkeypatch):
    monkeypatch.setattr(profile_module.sys, "version_info", (3, 10, 12))
    monkeypatch.setitem(sys.modules, "tomli", tomllib)
    assert parse_profile(shipped_text("generic"), "generic.toml") == read_profiles()["generic"]
