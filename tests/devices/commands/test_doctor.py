"""`fer-edge doctor`: text and JSON, what stands in the way, and what does not."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
from devices.doctor_support import advised, only, recorded_subject, subject
from devices.recorded_trees import TREES, write_tree
from runtime_support import installed_engine, run_cli, run_python

from fer_edge import __version__
from fer_edge.cli import main
from fer_edge.engines import EngineStatus
from fer_edge.errors import MissingExtraError
from fer_edge.files import sha256_hex
from fer_edge.tuning import SCHEMA as TUNING_SCHEMA
from fer_edge.tuning import StageChoice, Tuning, machine_key, tuning_path, write_tuning
from fer_edge_devices.doctor.examination import examine
from fer_edge_devices.doctor.finding import LEVELS, SECTIONS
from fer_edge_devices.profile import Profile

DOCUMENT = Path(__file__).parents[3] / "docs" / "doctor.md"
RECORDED = sorted(path.name for path in TREES.iterdir() if path.is_dir())

WORKS = [
    EngineStatus(name="litert", version="ai-edge-litert 2.3.0", problem=None),
    EngineStatus(
        name="onnx",
        version=None,
        problem="the engine onnx cannot be imported (No module named 'onnxruntime'); pip install \"fer-edge[onnx]\"",
    ),
]
BROKEN = EngineStatus(name="onnx-cuda", version=None, problem="the engine onnx-cuda cannot be started (no GPU)")


@pytest.fixture(autouse=True)
def _no_tuning(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_EDGE_TUNING", str(tmp_path / "tuning"))


@pytest.fixture
def engines(monkeypatch):
    """Function that says what the engines are to be."""

    def put(*statuses):
        monkeypatch.setattr("fer_edge.engines.engine_status", lambda: list(statuses))

    put(*WORKS)
    return put


def stages(engine="litert"):
    return {name: StageChoice(engine=engine, precision="float32", threads=2) for name in ("pnet", "rnet", "onet")} | {
        "classifier": StageChoice(engine=engine, precision="int8", threads=2)
    }


def tuning_for(bundle, **changes):
    made = {
        "schema": TUNING_SCHEMA,
        "created_utc": "2026-01-01T00:00:00+00:00",
        "manifest_sha256": sha256_hex(bundle.manifest_bytes),
        "machine": machine_key(),
        "engine_versions": {},
        "stages": stages(),
        "frame_ms": 61.23,
        "default_frame_ms": 88.04,
        "peak_memory_bytes": 1,
        "default_peak_memory_bytes": 1,
        "min_face_px": 40.0,
    }
    return Tuning(**(made | changes))


ARGUS = (
    "gst:nvarguscamerasrc sensor-id=0 ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! "
    "video/x-raw,format=BGR ! appsink"
)
GOLDEN = """\
fer-edge VERSION on Linux 6.12.34+rpt-rpi-2712

board
  ok       board          Raspberry Pi 5 Model B Rev 1.0, profile raspberry-pi-5
  ok       processor      Cortex-A76 (aarch64), 4 cores, int8 dot product, float16
  ok       memory         8442 MB, 7692 MB of it free for programs
  ok       swap           /dev/zram0 (2147 MB)
  ok       disk           21.4 GB free at home
  ok       clock          synchronised

speed
  ok       governor       ondemand: the clock follows the load; latencies vary less with performance
  advice   throttling     since the start: under-voltage, throttled
                          the supply is too weak: use the maker's own, a short thick cable, and no unpowered USB devices
  ok       temperature    55 degrees Celsius, slows down at 80
  ok       sensors        temperature, clock, throttling, power

cameras
  advice   camera         /dev/video0 rp1-cfe-csi2_ch0, through libcamera; Python has no picamera2
                          its own device gives raw data alone; an environment must see the system's packages
                          $ sudo apt install python3-picamera2 && python3 -m venv --system-site-packages .venv
  ok       group          pi may what video may

software
  ok       Python         3.11.2
  ok       OpenCV         OPENCV
  ok       engine litert  ai-edge-litert 2.3.0
  ok       engine onnx    not installed
  ok       bundle         BUNDLE
  advice   tuning         none
                          measure which engine, precision and threads are the fastest here; takes minutes
                          $ fer-edge tune

to start with (not measured)
  $ fer-edge run picamera --size 640x480 --fps 30 --engine litert --threads 2 --min-face 40 --detect-every 12

ready; 3 pieces of advice above"""


def test_text_for_a_raspberry_pi_5(engines, default_bundle):
    text = examine(recorded_subject("raspberry-pi-5"), default_bundle.path).to_text()
    text = re.sub(r"(  ok       bundle         ).*?(?=\n  advice)", r"\1BUNDLE", text, flags=re.DOTALL)
    assert text.replace(f"OpenCV         {cv2.__version__}", "OpenCV         OPENCV") == GOLDEN.replace(
        "VERSION", __version__
    )


def test_no_line_is_wider_than_a_terminal_but_commands(engines, default_bundle):
    for device in ("raspberry-pi-zero-2", "jetson-orin-nano", "x86-pc"):
        for line in examine(recorded_subject(device), default_bundle.path).to_text().splitlines():
            assert len(line) <= 120 or line.lstrip().startswith("$ "), line
            assert line.isprintable()


def test_text_for_this_machine(capsys, default_bundle):
    installed_engine("litert")
    assert main(["doctor", "--bundle", str(default_bundle.path)]) == 0
    out = capsys.readouterr().out
    assert re.match(rf"fer-edge {re.escape(__version__)} on Linux \d+\.\d+\S*\n\nboard\n  ok       board +\S", out)
    assert re.search(r"\n  ok       engine litert +ai-edge-litert \d", out)
    assert re.search(r"\n\nto start with \(not measured\)\n  \$ fer-edge run \S+ .*--engine litert --threads \d", out)
    assert re.search(r"\nready(; \d+ pieces? of advice above)?\n$", out)


def test_json_for_this_machine(capsys, default_bundle):
    assert main(["doctor", "--bundle", str(default_bundle.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "schema",
        "fer_edge",
        "can_run",
        "board",
        "profile",
        "machine",
        "findings",
        "cameras",
        "opencv",
        "engines",
        "bundle",
        "run_options",
    ]
    assert (found["schema"], found["fer_edge"], found["opencv"]) == ("fer-edge/doctor/2", __version__, cv2.__version__)
    assert found["can_run"] is True
    assert [engine["name"] for engine in found["engines"]][:3] == ["litert", "onnx", "openvino"]
    assert found["bundle"]["files"] == default_bundle.verify()
    assert "litert int8" in found["bundle"]["classifier"]
    assert found["machine"]["cores"] >= 1
    assert {item["section"] for item in found["findings"]} <= set(SECTIONS)
    assert {item["level"] for item in found["findings"]} <= set(LEVELS)


def test_json_for_a_jetson(engines, default_bundle):
    cuda = EngineStatus(name="onnx-cuda", version="onnxruntime 1.23.0 on CUDA", problem=None)
    engines(*WORKS, cuda)
    found = examine(recorded_subject("jetson-orin-nano"), default_bundle.path).to_json()
    assert found["board"]["slug"] == found["profile"] == "jetson-orin-nano"
    assert found["machine"] == {
        "architecture": "aarch64",
        "cpu": "Cortex-A78AE",
        "cores": 6,
        "memory_bytes": 7802376 * 1024,
        "system": "Linux 5.15.148-tegra",
        "python": "3.11.2",
    }
    assert found["cameras"] == [
        {"path": "/dev/video0", "name": "vi-output, imx219 9-0010", "access": "argus", "source": ARGUS}
    ]
    gpu = next(item for item in found["findings"] if item["name"] == "gpu")
    assert (gpu["level"], gpu["found"]) == ("ok", "Ampere, 512 or 1024 cores; used where onnx-cuda is asked for")
    assert found["run_options"] == {"engine": "litert", "threads": 2, "min-face": 40.0, "detect-every": 5}
    assert json.loads(json.dumps(found)) == found


def test_a_gpu_that_no_engine_uses(engines, default_bundle):
    others = EngineStatus(name="of-another-package", version="1", problem=None)
    engines(*WORKS, BROKEN, others)
    findings = examine(recorded_subject("jetson-orin-nano"), default_bundle.path).findings
    assert only(findings, "gpu").found == "Ampere, 512 or 1024 cores; no engine here uses it"
    findings = examine(recorded_subject("raspberry-pi-5"), default_bundle.path).findings
    assert "gpu" not in [finding.name for finding in findings]


def test_a_damaged_bundle_is_named_and_ends_with_4(capsys, tmp_path, default_bundle):
    shutil.copytree(default_bundle.path, tmp_path / "bundle")
    entry = default_bundle.manifest.stages["pnet"].variants[0].model
    (tmp_path / "bundle" / entry.file).write_bytes(b"x" * entry.bytes)
    assert main(["doctor", "--bundle", str(tmp_path / "bundle")]) == 4
    out = capsys.readouterr().out
    assert re.search(r"\n  problem  bundle +cannot be used\n", out)
    assert entry.file in out
    assert out.endswith("not ready: see the problems above\n")


def test_a_bundle_that_is_not_there_ends_with_1(engines, tmp_path):
    found = examine(recorded_subject("raspberry-pi-5"), tmp_path / "none")
    assert (found.exit_code, found.to_json()["can_run"]) == (1, False)
    assert only(found.findings, "bundle").level == "problem"
    assert found.software.bundle == {"problem": only(found.findings, "bundle").advice}


def test_without_any_engine_it_says_how_to_get_the_profiles_first(engines, default_bundle):
    engines(WORKS[1], BROKEN)
    for device in ("raspberry-pi-5", "jetson-orin-nano"):
        found = examine(recorded_subject(device), default_bundle.path)
        none = only(found.findings, "engines")
        assert (found.exit_code, none.level) == (3, "problem")
        assert none.command == 'pip install "fer-edge[litert]"'
        assert "engine" not in found.run_options


def test_an_engine_that_is_there_and_fails_is_advised_about(engines, default_bundle):
    engines(*WORKS, BROKEN)
    found = examine(recorded_subject("raspberry-pi-4"), default_bundle.path)
    failing = only(found.findings, "engine onnx-cuda")
    assert (found.exit_code, failing.level, failing.found) == (0, "advice", BROKEN.problem)
    assert only(found.findings, "engine onnx").level == "ok"


def test_without_opencv_it_ends_with_3(engines, monkeypatch, default_bundle):
    def missing():
        raise MissingExtraError("OpenCV cannot be imported (libGL.so.1)")

    monkeypatch.setattr("fer_edge._cv2.import_cv2", missing)
    found = examine(recorded_subject("raspberry-pi-4"), default_bundle.path)
    assert (found.exit_code, found.software.opencv) == (3, None)
    assert only(found.findings, "OpenCV").advice == "OpenCV cannot be imported (libGL.so.1)"


def test_the_first_that_stands_in_the_way_decides(engines, tmp_path):
    engines(WORKS[1])
    assert examine(recorded_subject("raspberry-pi-4"), tmp_path / "none").exit_code == 3


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 9, 2), "advice"), ((3, 10, 0), "ok"), ((3, 14, 1), "ok"), ((3, 15, 0), "advice")],
    ids=str,
)
def test_python(engines, default_bundle, version, level):
    found = examine(recorded_subject("raspberry-pi-4", python=version), default_bundle.path)
    assert (found.exit_code, only(found.findings, "Python").level) == (0, level)


def test_advice_never_changes_the_exit_code(engines, default_bundle):
    found = examine(recorded_subject("raspberry-pi-3", pointer_bits=32, free_bytes=0), default_bundle.path)
    assert len(advised(found.findings)) == 8
    assert found.exit_code == 0


def test_a_tuning_that_holds(engines, default_bundle):
    write_tuning(tuning_for(default_bundle))
    found = examine(recorded_subject("raspberry-pi-4"), default_bundle.path)
    tuning = only(found.findings, "tuning")
    assert (tuning.level, tuning.found) == (
        "ok",
        "litert float32, litert int8: a frame in 61.2 ms, 88.0 by default",
    )
    # Naming engine or threads would put the tuning aside.
    assert found.run_options == {"size": "640x480", "fps": 15.0, "min-face": 40.0, "detect-every": 24}
    assert found.to_text().endswith("--fps 15 --min-face 40 --detect-every 24\n\nready")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"machine": {"cpu": "another"}}, "made with other versions or on another machine", id="machine"),
        pytest.param({"engine_versions": {"litert": "0"}}, "made with other versions or on another", id="version"),
    ],
)
def test_a_tuning_that_does_not_hold(engines, default_bundle, changes, words):
    write_tuning(tuning_for(default_bundle, **changes))
    tuning = only(examine(recorded_subject("raspberry-pi-4"), default_bundle.path).findings, "tuning")
    assert (tuning.level, tuning.command) == ("advice", "fer-edge tune")
    assert words in tuning.found


def test_a_damaged_tuning_is_no_problem(engines, default_bundle):
    path = write_tuning(tuning_for(default_bundle))
    assert path == tuning_path(sha256_hex(default_bundle.manifest_bytes))
    path.write_text("{", encoding="utf-8")
    found = examine(recorded_subject("raspberry-pi-4"), default_bundle.path)
    assert (found.exit_code, only(found.findings, "tuning").level) == (0, "advice")
    assert str(path) in only(found.findings, "tuning").found


def test_what_a_camera_calls_itself_does_not_move_the_cursor(engines, default_bundle, tmp_path):
    tree = write_tree(tmp_path / "tree", {"/sys/class/video4linux/video0/name": "Cam\x1b[2J\x07\n"})
    assert "/dev/video0 Cam\ufffd[2J\ufffd" in examine(subject(tree), default_bundle.path).to_text()


def test_a_python_without_a_reader_of_profiles_ends_with_3(default_bundle):
    code = (
        "import sys\n"
        "sys.version_info = (3, 10, 12, 'final', 0)\n"
        "sys.modules['tomli'] = None\n"
        "from fer_edge.cli import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    done = run_python(code)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("fer-edge: error: device profiles need tomli on Python 3.10")


def test_it_starts_without_conversion_packages(default_bundle):
    done = run_cli("doctor", "--bundle", str(default_bundle.path.resolve()), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["can_run"]


def test_help_loads_nothing_heavy():
    done = run_python(
        "import sys\nfrom fer_edge.cli import main\n"
        "try:\n    main(['doctor', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('numpy', 'cv2', 'fer_edge_devices.sensors') if name in sys.modules])"
    )
    assert done.stdout.endswith("\n[]\n")


def documented_rows(heading):
    """The first column of the tables below a heading of docs/doctor.md."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")]


def test_the_document_has_every_key_of_the_json(engines, default_bundle):
    found = examine(recorded_subject("raspberry-pi-5"), default_bundle.path).to_json()
    assert documented_rows("JSON") == [[key] for key in found]


def test_the_document_has_every_name_of_a_finding(engines, default_bundle):
    engines(*WORKS, BROKEN)
    named = set(re.findall(r"`([^`]+)`", DOCUMENT.read_text(encoding="utf-8").partition("`name` is one of")[2]))
    for device in RECORDED:
        for finding in examine(recorded_subject(device, pointer_bits=32), default_bundle.path).findings:
            assert re.sub(r"^engine .+", "engine NAME", finding.name) in named, finding


def test_the_document_has_every_key_of_a_profile():
    keys = [key for row in documented_rows("Profiles") for key in row]
    assert sorted(keys) == sorted(field.name for field in dataclasses.fields(Profile))
