"""What `fer-edge run` starts from: an option, else what was tuned, else the board's profile, else its own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import cv2
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.board_settings import BoardSettings
from fer_edge.cli import main
from fer_edge.detector import DetectorOptions
from fer_edge.errors import InputError
from fer_edge.files import sha256_hex
from fer_edge.sources import Frame, Source
from fer_edge.tracking import TrackerOptions
from fer_edge.tuning import SCHEMA, StageChoice, Tuning, machine_key, write_tuning

# No value is what the runtime has by itself (OWN), and the order is not its own.
BOARD = BoardSettings(
    title="Test Board",
    size_wh=(320, 240),
    fps=7.5,
    engines=("onnx-cuda", "onnx", "litert"),
    threads=2,
    min_face_px=50.0,
    detect_every=9,
)
OWN = {
    "engine": None,
    "threads": None,
    "min_face_px": DetectorOptions().min_face_px,
    "detect_every": TrackerOptions().detect_every,
    "size_wh": None,
    "fps": None,
}
OF_BOARD = {
    "engine": "onnx",
    "threads": 2,
    "min_face_px": 50.0,
    "detect_every": 9,
    "size_wh": (320, 240),
    "fps": 7.5,
}


@dataclass
class Camera(Source):
    """A camera that sees the demo photo once."""

    kind = "camera"
    is_live = True
    size_wh: tuple[int, int] | None = None

    def __iter__(self):
        yield Frame(image_bgr=cv2.imread(str(demo_photo_path())), source="/dev/video0", index=0, time_s=0.0)


@pytest.fixture(autouse=True)
def _no_tuning(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_EDGE_TUNING", str(tmp_path / "tuning"))


@pytest.fixture
def cv2_threads():
    before = cv2.getNumThreads()
    yield cv2.getNumThreads
    cv2.setNumThreads(before)


@pytest.fixture
def started(monkeypatch, capsys, cv2_threads):
    """Function that runs with a camera and a board, and returns what the run started with."""
    asked = []
    seen = SimpleNamespace(board=BOARD, sizes=[(320, 240), (640, 480)])

    def board_settings(device=None):
        asked.append(device)
        return None if device == "generic" else seen.board

    def open_v4l2(spec, options):
        seen.options.append(options)
        if options.size_wh in (None, *seen.sizes):
            return Camera(size_wh=options.size_wh)
        if not options.nearest_size:
            raise InputError(f"{spec}: it has no such size")
        return Camera(size_wh=(352, 288))

    from fer_edge import pipeline, tracking

    real_open, real_tracker = pipeline.open_pipeline, tracking.FaceTracker

    def open_pipeline(bundle, **options):
        seen.pipeline_options = options
        seen.pipeline = real_open(bundle, **options)
        return seen.pipeline

    def face_tracker(of_pipeline, options):
        seen.tracker_options = options
        return real_tracker(of_pipeline, options)

    monkeypatch.setattr("fer_edge.board_settings.board_settings", board_settings)
    monkeypatch.setattr("fer_edge.sources.v4l2.open_v4l2", open_v4l2)
    monkeypatch.setattr(pipeline, "open_pipeline", open_pipeline)
    monkeypatch.setattr(tracking, "FaceTracker", face_tracker)

    def runner(*words, source="0", code=0):
        asked.clear()
        seen.options, seen.pipeline_options, seen.tracker_options = [], {}, None
        assert main(["run", str(source), *map(str, words)]) == code
        captured = capsys.readouterr()
        seen.records, seen.err, seen.asked = list(map(json.loads, captured.out.splitlines())), captured.err, asked[:]
        seen.settings = {
            **{name: seen.pipeline_options.get(name) for name in ("engine", "threads", "min_face_px")},
            "detect_every": seen.tracker_options and seen.tracker_options.detect_every,
            "size_wh": seen.options[-1].size_wh if seen.options else None,
            "fps": seen.options[-1].fps if seen.options else None,
        }
        return seen

    runner.seen = seen
    return runner


@pytest.fixture
def tuned(default_bundle):
    """What `fer-edge tune` would leave: LiteRT with four threads."""
    choice = StageChoice(engine="litert", precision="float32", threads=4)
    write_tuning(
        Tuning(
            schema=SCHEMA,
            created_utc="2026-01-01T00:00:00+00:00",
            manifest_sha256=sha256_hex(default_bundle.manifest_bytes),
            machine=machine_key(),
            engine_versions={},
            stages=dict.fromkeys(("pnet", "rnet", "onet", "classifier"), choice),
            frame_ms=1.0,
            default_frame_ms=2.0,
            peak_memory_bytes=1,
            default_peak_memory_bytes=1,
            min_face_px=40.0,
        )
    )


def test_a_camera_starts_from_the_profile_and_says_so_once(started, cv2_threads):
    run = started()
    assert run.settings == OF_BOARD
    assert cv2_threads() == 2
    assert run.pipeline.engine_version.startswith("onnxruntime ")
    assert run.err == (
        "fer-edge: from the profile of Test Board: --size 320x240 --fps 7.5 --min-face 50 --detect-every 9 "
        "--engine onnx --threads 2; --device generic leaves it out\n"
    )
    assert (len(run.records), len(run.records[0]["faces"])) == (1, 1)


@pytest.mark.parametrize(
    ("words", "own"),
    [
        pytest.param(["--engine", "litert"], {"engine": "litert"}, id="engine"),
        pytest.param(["--threads", "1"], {"threads": 1}, id="threads"),
        pytest.param(["--min-face", str(OWN["min_face_px"])], {"min_face_px": OWN["min_face_px"]}, id="smallest face"),
        pytest.param(
            ["--detect-every", str(OWN["detect_every"])], {"detect_every": OWN["detect_every"]}, id="detections"
        ),
        pytest.param(["--size", "640x480"], {"size_wh": (640, 480)}, id="size"),
        pytest.param(["--fps", "30"], {"fps": 30.0}, id="frames"),
        pytest.param(["--precision", "float32"], {}, id="none of the profile's"),
    ],
)
def test_an_option_comes_before_the_profile(started, words, own):
    run = started(*words)
    assert run.settings == OF_BOARD | own
    assert words[0] not in run.err
    assert run.err.count("\n") == 1


def test_all_options_leave_nothing_to_tell(started):
    words = ["--engine", "litert", "--threads", "1", "--min-face", "60", "--detect-every", "3", "--size", "640x480"]
    assert started(*words, "--fps", "5").err == ""


@pytest.mark.usefixtures("tuned")
def test_what_was_tuned_comes_before_the_profile(started):
    run = started()
    assert run.settings == OF_BOARD | {"engine": None, "threads": None}
    assert run.pipeline.engine_version.startswith("ai-edge-litert ")
    assert "--engine" not in run.err
    assert "--threads" not in run.err
    assert "--min-face 50 --detect-every 9;" in run.err


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize("words", [["--no-tuning"], ["--precision", "float32"]], ids=" ".join)
def test_the_profile_comes_where_what_was_tuned_is_put_aside(started, words):
    run = started(*words)
    assert run.settings == OF_BOARD
    assert run.pipeline.engine_version.startswith("onnxruntime ")


def test_a_camera_without_the_profiles_size_gives_another(started):
    started.seen.sizes = []
    run = started()
    assert [(options.size_wh, options.nearest_size, options.fps) for options in run.options] == [
        ((320, 240), True, 7.5)
    ]
    assert "--size" not in run.err
    assert "--fps 7.5" in run.err


def test_a_camera_without_the_size_of_an_option_is_an_error(started):
    run = started("--size", "123x45", code=1)
    assert [(options.size_wh, options.nearest_size) for options in run.options] == [((123, 45), False)]
    assert run.err == "fer-edge: error: 0: it has no such size\n"


def test_the_help_states_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"follow faces between ({TrackerOptions().detect_every}; 1 follows none)" in text
    assert f"smallest face looked for ({DetectorOptions().min_face_px:g})" in text


@pytest.mark.parametrize("words", [[], ["--device", "generic"]], ids=["unknown board", "no profile wanted"])
def test_without_a_profile_all_is_as_before(started, words):
    started.seen.board = BOARD if words else None
    run = started(*words)
    assert run.settings == OWN
    assert run.err == ""
    assert run.asked == [words[1] if words else None]


@pytest.mark.parametrize(
    ("source", "is_asked"),
    [("raw:512x512:bgr", True), ("raw:512x512:bgr@25", False), (demo_photo_path(), False)],
    ids=["frames as they come", "a recording's frames", "a photo"],
)
def test_what_is_found_in_a_file_depends_on_no_board(started, monkeypatch, source, is_asked):
    frames = io.BytesIO(cv2.imread(str(demo_photo_path())).tobytes())
    monkeypatch.setattr("fer_edge.sources.raw_frames._standard_input", lambda: frames)
    run = started(source=source)
    assert run.asked == ([None] if is_asked else [])
    assert run.settings["min_face_px"] == (50.0 if is_asked else 40.0)
    assert bool(run.err) == is_asked


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("picamera:1", True),
        ("/dev/video3", True),
        ("rtsp://camera/stream", True),
        ("HTTPS://camera/stream", True),
        ("gst:videotestsrc ! appsink", True),
        ("photos", False),
        ("http", False),
        ("ftp://camera/stream", False),
        ("clip.mp4", False),
    ],
)
def test_sources_that_go_on_by_themselves(spec, expected):
    from fer_edge.commands.run_board import keeps_up

    assert keeps_up(spec) is expected


def test_a_board_that_is_named_counts_for_a_photo_too(started):
    run = started("--device", "test-board", source=demo_photo_path())
    assert run.asked == ["test-board"]
    assert run.settings == OF_BOARD | {"detect_every": None, "size_wh": None, "fps": None}
    assert run.err.startswith("fer-edge: from the profile of Test Board: --min-face 50 --engine onnx --threads 2; ")


@pytest.mark.parametrize("engines", [("onnx-tensorrt", "onnx-cuda"), ("absent",)], ids=["accelerated", "not in it"])
def test_an_engine_is_taken_by_itself_only_where_the_bundle_names_it(started, engines):
    started.seen.board = replace(BOARD, engines=engines)
    run = started()
    assert run.settings == OF_BOARD | {"engine": None}
    assert "--engine" not in run.err
