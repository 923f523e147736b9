"""`fer-edge run` from the command line, on pictures, folders and videos, good and bad."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import stat
import threading
import time
import urllib.request

import cv2
import numpy as np
import pytest
from live_support import MjpegCamera, eventually
from PIL import Image

from fer_edge.assets import demo_photo_path
from fer_edge.cli import main
from fer_edge.commands import run as run_module
from fer_edge.detector import FaceDetector
from fer_edge.frame_record import FRAME_SCHEMA

# Where the face of the demo photo is, after the public MTCNN of tests/fer_edge/reference; rounded to whole pixels.
DEMO_BOX = (179, 58, 268, 174)
LABELS = {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}


@pytest.fixture(scope="module")
def demo_bgr():
    return cv2.imread(str(demo_photo_path()))


@pytest.fixture
def run(capsys, default_bundle):
    """Function that runs `fer-edge run` in this process and returns exit code, records and standard error."""

    def runner(*words, text=False):
        code = main(["run", *map(str, words), "--bundle", str(default_bundle.path), "--engine", "onnx"])
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        return code, lines if text else [json.loads(line) for line in lines], captured.err

    return runner


def assert_demo_face(record, scale=1.0):
    (face,) = record["faces"]
    assert face["emotion"] == "happy"
    assert np.allclose(np.array(face["box_xyxy"]) / scale, DEMO_BOX, atol=6)
    assert set(face["probs"]) == LABELS
    assert sum(face["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert max(face["probs"], key=face["probs"].get) == "happy"


def test_a_photo_gives_one_record(run):
    code, records, err = run(demo_photo_path())
    assert (code, err) == (0, "")
    (record,) = records
    assert record["schema"] == FRAME_SCHEMA == "fer-edge/frame/1"
    assert record["source"] == str(demo_photo_path())
    assert (record["frame"], record["time_s"], record["size_wh"]) == (0, None, [512, 512])
    assert_demo_face(record)
    (face,) = record["faces"]
    left_eye, right_eye, nose, left_mouth, right_mouth = face["landmarks_xy"]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    latency = record["latency_ms"]
    assert latency["total"] == pytest.approx(latency["decode"] + latency["detect"] + latency["classify"], abs=0.01)
    assert min(latency.values()) > 0


def test_text_for_people(run):
    code, lines, _ = run(demo_photo_path(), "--text", text=True)
    assert code == 0
    assert lines[0] == f"{demo_photo_path()}: 1 face"
    assert lines[1].startswith("  1: happy ")


def gray(bgr, path):
    cv2.imwrite(str(path), cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))


def rgba(bgr, path):
    cv2.imwrite(str(path), np.dstack([bgr, np.full(bgr.shape[:2], 200, np.uint8)]))


def sixteen_bit(bgr, path):
    cv2.imwrite(str(path), bgr.astype(np.uint16) * 257)


def cmyk(bgr, path):
    Image.fromarray(bgr[..., ::-1]).convert("CMYK").save(path, quality=95)


def exif_rotated(bgr, path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(np.rot90(bgr[..., ::-1]).copy()).save(path, exif=exif, quality=95)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (gray, "gray.png"),
        (rgba, "rgba.png"),
        (sixteen_bit, "sixteen.png"),
        (cmyk, "cmyk.jpg"),
        (exif_rotated, "turned.jpg"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_odd_pictures_work(run, demo_bgr, tmp_path, write, name):
    write(demo_bgr, tmp_path / name)
    code, records, err = run(tmp_path / name)
    assert (code, err) == (0, "")
    assert_demo_face(records[0])


def test_a_photo_without_faces_is_no_error(run, tmp_path):
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((240, 320, 3), 180, np.uint8))
    code, records, err = run(tmp_path / "sky.png")
    assert (code, err) == (0, "")
    assert records[0]["faces"] == []


def absent(folder):
    return folder / "nobody.jpg", "no such file"


def empty(folder):
    path = folder / "empty.jpg"
    path.touch()
    return path, "empty"


def text_named_jpg(folder):
    path = folder / "notes.jpg"
    path.write_text("not a picture at all\n" * 20)
    return path, "not a picture"


def truncated(folder):
    path = folder / "cut.jpg"
    whole = cv2.imencode(".jpg", cv2.imread(str(demo_photo_path())))[1].tobytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path, "cut.jpg"


def bomb(folder):
    path = folder / "bomb.png"
    image = Image.new("1", (20_000, 20_000))
    image.save(path)
    assert path.stat().st_size < 200_000
    return path, "20000"


@pytest.mark.parametrize("make", [absent, empty, text_named_jpg, truncated, bomb], ids=lambda make: make.__name__)
def test_bad_pictures_end_with_one_line_and_1(run, tmp_path, make):
    path, word = make(tmp_path)
    code, records, err = run(path)
    assert (code, records) == (1, [])
    assert err.startswith("fer-edge: error: ")
    assert err.count("\n") == 1
    assert path.name in err
    assert word in err


def test_a_cut_jpeg_never_shows_the_picture_before_it(run, tmp_path, demo_bgr):
    """The bytes that are missing must not be filled with what was decoded last."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.jpg"), demo_bgr)
    whole = (folder / "1.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[: len(whole) // 3])
    code, records, err = run(folder)
    assert code == 1
    assert [record["source"] for record in records] == [str(folder / "1.jpg")]
    assert "2.jpg" in err


def test_a_folder_goes_on_after_a_bad_picture(run, tmp_path, demo_bgr):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(demo_photo_path(), folder / "photo10.png")
    (folder / "photo2.jpg").write_text("no picture")
    shutil.copy(demo_photo_path(), folder / "photo1.png")
    code, records, err = run(folder, "--annotate", tmp_path / "drawn")
    assert code == 1
    assert [record["source"].rsplit("/", 1)[1] for record in records] == ["photo1.png", "photo10.png"]
    assert err.count("fer-edge: error: ") == err.count("\n") == 1
    assert "photo2.jpg" in err
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["photo1.png", "photo10.png"]


def test_an_annotated_photo_differs_where_the_face_is(run, tmp_path, demo_bgr):
    target = tmp_path / "drawn.png"
    code, records, _ = run(demo_photo_path(), "--annotate", target)
    assert code == 0
    drawn = cv2.imread(str(target))
    assert drawn.shape == demo_bgr.shape
    changed = (drawn != demo_bgr).any(axis=2)
    left, top, right, bottom = (round(value) for value in records[0]["faces"][0]["box_xyxy"])
    assert changed[top + 20 : bottom - 20, left].all()  # the box's left line
    assert changed[top + 20 : bottom - 20, right].all()
    assert not changed[:, :100].any()  # far from the face the photo is as it was
    assert not list(tmp_path.glob(".*"))


def write_video(path, frames, fps=10.0):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def test_a_video_gives_a_record_a_frame_and_an_annotated_video(run, tmp_path, demo_bgr):
    blank = np.full_like(demo_bgr, 128)
    write_video(tmp_path / "clip.mp4", [demo_bgr, demo_bgr, blank])
    code, records, err = run(tmp_path / "clip.mp4", "--annotate", tmp_path / "drawn.mp4")
    assert (code, err) == (0, "")
    assert [record["frame"] for record in records] == [0, 1, 2]
    assert [record["time_s"] for record in records] == pytest.approx([0.0, 0.1, 0.2], abs=0.005)
    assert [len(record["faces"]) for record in records] == [1, 1, 0]
    assert [face["track_id"] for record in records for face in record["faces"]] == [1, 1]
    capture = cv2.VideoCapture(str(tmp_path / "drawn.mp4"))
    frames = [capture.read()[1] for _ in range(3)]
    assert frames[0].shape == demo_bgr.shape
    assert not capture.read()[0]
    difference = np.abs(frames[0].astype(int) - demo_bgr).max(axis=2)
    assert difference[60:170, 175:182].max() > 60  # a green line beside a face
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("words", "n_searched"),
    [
        pytest.param([], 3, id="now and then"),
        pytest.param(["--detect-every", "1"], 12, id="every frame"),
        pytest.param(["--max-latency-ms", "60000"], 12, id="time for every frame"),
        pytest.param(["--max-cpu", "1e6"], 12, id="processor time for every frame"),
    ],
)
def test_how_often_a_video_is_searched(run, tmp_path, demo_bgr, words, n_searched, monkeypatch):
    write_video(tmp_path / "clip.mp4", [demo_bgr] * 12)
    searched = []
    analyse = FaceDetector.analyse
    monkeypatch.setattr(FaceDetector, "analyse", lambda self, frame: searched.append(1) or analyse(self, frame))
    code, records, _ = run(tmp_path / "clip.mp4", *words)
    assert (code, len(records), len(searched)) == (0, 12, n_searched)


def test_frames_that_a_bound_leaves_out_are_told_and_counted(run, tmp_path, demo_bgr):
    """0.001 % of a core: the first two frames tell what detection takes, and no other can be afforded."""
    write_video(tmp_path / "clip.mp4", [demo_bgr] * 12)
    code, records, err = run(tmp_path / "clip.mp4", "--max-cpu", "0.001")
    skipped = [record["skipped"] for record in records]
    assert (code, len(records)) == (0, 12)
    assert skipped == [False] * 2 + [True] * 10
    assert err == "fer-edge: 10 frames were skipped to keep within the bound\n"
    assert [face["track_id"] for record in records for face in record["faces"]] == [1] * 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clip.mp4", "--detect-every", "0"], "detect_every: expected 1 or more, found 0"),
        (["clip.mp4", "--max-latency-ms", "nan"], "max_latency_ms: expected a number above 0, found nan"),
        (["clip.mp4", "--max-cpu", "0"], "max_cpu_percent: expected a number above 0, found 0"),
        (["photo.png", "--detect-every", "5"], "--detect-every: expected a video, found a photo; leave it out"),
        (
            [".", "--max-latency-ms", "5", "--max-cpu", "30"],
            "--max-latency-ms and --max-cpu: expected a video, found a folder; leave it out",
        ),
    ],
    ids=["interval", "latency", "processor time", "photo", "folder"],
)
def test_options_of_videos(run, tmp_path, demo_bgr, words, message):
    write_video(tmp_path / "clip.mp4", [demo_bgr])
    cv2.imwrite(str(tmp_path / "photo.png"), demo_bgr)
    code, records, err = run(tmp_path / words[0], *words[1:])
    assert (code, records) == (2, [])
    assert err == f"fer-edge: error: {message}\n"


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["--annotate", "{folder}/there.png"], 2, "--force"),
        (["--annotate", "{folder}/no/such/folder.png"], 1, "does not exist"),
        (["--annotate", "{folder}/drawn.xyz"], 2, ".jpg"),
        (["--annotate", "{folder}/drawn"], 2, ".jpg"),
        (["--min-face", "5"], 2, "min_face_px"),
        (["--min-face", "nan"], 2, "min_face_px"),
        (["--threads", "0"], 2, "threads"),
        (["--engine", "tflit"], 2, "did you mean tflite?"),
        (["--precision", "int4"], 3, "int4"),
        (["--bundle", "{folder}/nothing"], 1, "no bundle"),
    ],
    ids=lambda value: " ".join(value).replace("{folder}/", "") if isinstance(value, list) else "",
)
def test_options_that_cannot_be(capsys, tmp_path, words, code, word, default_bundle):
    (tmp_path / "there.png").write_bytes(b"somebody's")
    words = [text.format(folder=tmp_path) for text in words]
    if "--bundle" not in words:
        words += ["--bundle", str(default_bundle.path)]
    assert main(["run", str(demo_photo_path()), *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fer-edge: error: ")
    assert captured.err.count("\n") == 1
    assert word in captured.err
    assert (tmp_path / "there.png").read_bytes() == b"somebody's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(run, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, _, err = run(demo_photo_path(), "--annotate", tmp_path / "drawn.png")
    assert code == 1
    assert "no permission" in err


def copied(bundle, folder):
    target = folder / "bundle"
    shutil.copytree(bundle.path, target)
    return target


@pytest.mark.parametrize("damage", ["a flipped bit", "cut by one byte", "removed"])
def test_a_damaged_bundle_ends_with_4(capsys, tmp_path, default_bundle, damage):
    path = copied(default_bundle, tmp_path)
    variants = default_bundle.manifest.stages["onet"].variants
    entry = next(variant.model for variant in variants if variant.engine == "onnx")
    file = path / entry.file
    data = bytearray(file.read_bytes())
    if damage == "removed":
        file.unlink()
    else:
        data[len(data) // 2] ^= 4
        file.write_bytes(data[:-1] if damage == "cut by one byte" else data)
    assert main(["run", str(demo_photo_path()), "--bundle", str(path), "--engine", "onnx"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert entry.file in captured.err


def test_a_folder_that_holds_something_is_refused_before_any_analysis(run, tmp_path, demo_bgr):
    for name in ("photos", "drawn"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), demo_bgr)
    code, records, err = run(tmp_path / "photos", "--annotate", tmp_path / "drawn")
    assert (code, records) == (2, [])
    assert "--force" in err
    code, records, err = run(tmp_path / "photos", "--annotate", tmp_path / "drawn", "--force")
    assert (code, len(records), err) == (0, 1, "")
    assert (cv2.imread(str(tmp_path / "drawn" / "a.png")) != demo_bgr).any()


@pytest.mark.parametrize("words", [[], ["--force"]], ids=["", "--force"])
def test_the_source_is_never_the_target(run, tmp_path, demo_bgr, words):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), demo_bgr)
    before = path.read_bytes()
    code, records, err = run(path, "--annotate", path, *words)
    assert (code, records) == (2, [])
    assert err.count("\n") == 1
    assert path.read_bytes() == before


def test_ctrl_c_while_frames_come_leaves_no_half_video(run, tmp_path, demo_bgr, monkeypatch, default_bundle):
    write_video(tmp_path / "clip.mp4", [demo_bgr] * 3)
    calls = []
    timed = run_module._timed

    def interrupted(source):
        for item in timed(source):
            if calls:
                raise KeyboardInterrupt
            calls.append(item)
            yield item

    monkeypatch.setattr(run_module, "_timed", interrupted)
    code, records, _ = run(tmp_path / "clip.mp4", "--annotate", tmp_path / "drawn.mp4")
    assert code == 130
    assert len(records) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


# Live sources: a motion-JPEG camera on this machine, and signals to this process, which pytest itself leaves alone.


@pytest.fixture
def camera(demo_bgr):
    """A camera that looks at the demo photo."""
    camera = MjpegCamera(fps=30)
    camera.jpeg = cv2.imencode(".jpg", demo_bgr)[1].tobytes()
    yield camera
    if camera.is_on:
        camera.off()


@pytest.fixture
def meanwhile():
    """Function that calls another one in a thread; what that raises fails the test."""
    threads, errors = [], []

    def start(function):
        def call():
            try:
                function()
            except BaseException as error:
                errors.append(error)
                os.kill(os.getpid(), signal.SIGINT)  # the run would wait for ever
                raise

        threads.append(threading.Thread(target=call))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
    assert not errors


def n_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def threads_of_ours():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fer-edge")]


@pytest.fixture
def signals_of_a_terminal():
    """Handlers as a terminal's programs have them: what a shell starts in the background ignores some."""
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_of_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_a_stream_as_a_file_ends(run, tmp_path, camera, meanwhile, number):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    path, events = tmp_path / "frames.jsonl", tmp_path / "events.jsonl"

    def end():
        eventually(lambda: n_lines(path) >= 5)
        os.kill(os.getpid(), number)

    meanwhile(end)
    code, records, err = run(
        camera.url(login="keeper:s3cret@"),
        *("--sink", "stdout", "--sink", f"jsonl:{path}", "--sink", f"jsonl:{events}?content=events"),
    )
    assert code == 0
    assert "s3cret" not in err
    assert [json.loads(line) for line in path.read_text().splitlines()] == records
    assert records[0]["source"] == camera.url()
    for record in records:
        assert_demo_face(record)
        # It is decoded by another thread, and waiting for the camera is no work.
        assert record["latency_ms"]["decode"] == 0
    kinds = [json.loads(line)["event_type"] for line in events.read_text().splitlines()]
    assert (kinds[0], kinds[-1]) == ("face_appeared", "face_left")
    assert threads_of_ours() == []
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.usefixtures("signals_of_a_terminal")
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_second_signal_ends_what_hangs(run, camera, meanwhile, monkeypatch, number, expected):
    hangs = threading.Event()

    class Hanging:
        skipped, n_skipped = False, 0

        def analyse(self, *_):
            hangs.set()
            time.sleep(60)

    monkeypatch.setattr(run_module, "_tracker", lambda *_: Hanging())
    monkeypatch.setattr(run_module, "_ONE_SIGNAL_S", 0.2)

    def end():
        assert hangs.wait(20)
        for pause_s in (0, 0.5):  # the second of them comes with the first
            time.sleep(pause_s)
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    meanwhile(end)
    started_s = time.monotonic()
    code, records, _ = run(camera.url())
    assert (code, records) == (expected, [])
    assert time.monotonic() - started_s < 30


def test_a_signal_that_is_ignored_stays_ignored():
    """As of a job in a script's background: a Ctrl-C is for what is in front."""
    closed = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        source = type("Closing", (), {"close": lambda _: closed.append(1)})()
        with run_module._signals_close(source):
            signal.raise_signal(signal.SIGINT)
        assert closed == []
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_preview_of_a_stream(run, tmp_path, camera, meanwhile, monkeypatch):
    told, answers = [], []
    monkeypatch.setattr(run_module, "tell", told.append)
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)

    def look():
        eventually(lambda: n_lines(tmp_path / "frames.jsonl") >= 2)
        url = told[0].removeprefix("preview at ")
        for path in ("healthz", "frame.jpg"):
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                answers.append(answer.read())
        os.kill(os.getpid(), signal.SIGTERM)

    meanwhile(look)
    code, records, _ = run(camera.url(), "--preview", "--sink", f"jsonl:{tmp_path / 'frames.jsonl'}")
    assert (code, records) == (0, [])  # standard output is one sink among others
    assert answers[0] == b"ok\n"
    assert cv2.imdecode(np.frombuffer(answers[1], np.uint8), cv2.IMREAD_COLOR).shape == (512, 512, 3)
    assert threads_of_ours() == []


def test_sinks_learn_that_a_stream_was_lost_and_came_back(run, tmp_path, camera, meanwhile, monkeypatch):
    told, events = [], tmp_path / "events.jsonl"
    live_options = run_module._live_options
    monkeypatch.setattr(run_module, "tell", told.append)
    monkeypatch.setattr(
        run_module,
        "_live_options",
        lambda *words: dataclasses.replace(
            live_options(*words), offline_after_s=0.4, reopen_after_s=0.05, reopen_gap_s=0.05
        ),
    )

    def lose():
        eventually(lambda: n_lines(events) == 1)
        camera.off()
        eventually(lambda: n_lines(events) == 2)
        camera.on()
        eventually(lambda: n_lines(events) == 3)
        os.kill(os.getpid(), signal.SIGTERM)

    meanwhile(lose)
    code, _, _ = run(camera.url(), "--sink", f"jsonl:{events}?content=events")
    assert code == 0
    kinds = [json.loads(line)["event_type"] for line in events.read_text().splitlines()]
    assert kinds == ["face_appeared", "face_left"] * 2
    states = [line.partition(":")[0] for line in told if line.startswith(("offline", "online"))]
    assert states == ["offline", "online"]


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("stderr", [None, Gone()], ids=["closed", "its reader gone"])
def test_a_stream_goes_on_where_nobody_reads_standard_error(run, tmp_path, camera, meanwhile, monkeypatch, stderr):
    path = tmp_path / "frames.jsonl"

    def end():
        eventually(lambda: n_lines(path) >= 2)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("sys.stderr", stderr)
    meanwhile(end)
    code, _, _ = run(camera.url(), "--preview", "--sink", f"jsonl:{path}")
    assert code == 0
    assert n_lines(path) >= 2


def test_a_stream_is_not_annotated(run, tmp_path, camera):
    code, records, err = run(camera.url(), "--annotate", tmp_path / "drawn.mp4")
    assert (code, records) == (2, [])
    assert "found a stream, whose frames come as they can" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert threads_of_ours() == []


@pytest.mark.parametrize(("rate", "expected"), [("", 2), ("@10", 0)], ids=["no rate", "a rate"])
def test_frames_on_standard_input_are_annotated_at_their_rate(run, tmp_path, demo_bgr, monkeypatch, rate, expected):
    frames = io.BytesIO(demo_bgr.tobytes() * 3)
    monkeypatch.setattr("fer_edge.sources.raw_frames._standard_input", lambda: frames)
    code, records, _ = run(f"raw:512x512:bgr{rate}", "--annotate", tmp_path / "drawn.mp4")
    assert (code, len(records)) == (expected, 3 if rate else 0)
    if rate:
        assert cv2.VideoCapture(str(tmp_path / "drawn.mp4")).get(cv2.CAP_PROP_FPS) == 10


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--size", "640"], 2, "--size: expected width and height in pixels, e.g. 1280x720, found '640'"),
        (["--size", "640x0"], 2, "--size: expected width and height in pixels, e.g. 1280x720, found '640x0'"),
        (["--fps", "nan"], 2, "fps: expected a number above 0, found nan"),
        (["--fps", "15"], 2, "a size or a rate can be asked of a camera alone, found a stream; leave them out"),
        (["--sink", "stdout", "--sink", "stdout"], 2, "stdout: expected each sink once, found it 2 times"),
        (
            ["--sink", "stdout?rate=3"],
            2,
            "--sink stdout?rate=3: unknown key 'rate'; known: content, window_s, min_faces",
        ),
        (
            ["--sink", "stdout", "--text"],
            2,
            "--text and --sink stdout would both write to standard output; leave one out",
        ),
        (["--preview", "80a"], 2, "--preview 80a: expected HOST:PORT or PORT"),
        (["--detect-every", "0"], 2, "detect_every: expected 1 or more, found 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_streams_that_cannot_be(run, camera, words, code, message):
    found, records, err = run(camera.url(login="keeper:s3cret@"), *words)
    assert (found, records) == (code, [])
    assert err.startswith(f"fer-edge: error: {message}")
    assert err.count("\n") == 1
    assert "s3cret" not in err
    assert threads_of_ours() == []
