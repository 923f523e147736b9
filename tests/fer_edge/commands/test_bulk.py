"""`fer-edge bulk` from the command line: what it writes, and that nothing is lost or repeated however it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.cli import main
from fer_edge.images import read_image

N_FACES = 600

# As `fer-edge bulk`, but saving twenty times a second.
CODE = """
import sys
from fer_edge.bulk import results
from fer_edge.cli import main
results._JsonLines._period_s = results._Parquet._period_s = 0.05
sys.exit(main(["bulk", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def faces_csv(tmp_path_factory):
    """Crops of the demo photo, each a little different, as a csv like FER-2013's."""
    gray = cv2.cvtColor(read_image(demo_photo_path()), cv2.COLOR_BGR2GRAY)
    path = tmp_path_factory.mktemp("faces") / "faces.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("emotion,pixels,Usage\n")
        for number in range(N_FACES):
            face = cv2.resize(gray[40 + number % 30 : 190, 160 + number // 30 : 290], (48, 48))
            file.write(f"3,{' '.join(map(str, face.ravel().tolist()))},Test {number}\n")
    return path


@pytest.fixture
def bulk(capsys, default_bundle):
    """Function that runs `fer-edge bulk` in this process and returns exit code, output and standard error."""

    def runner(*words):
        code = main(["bulk", *map(str, words), "--bundle", str(default_bundle.path), "--engine", "onnx"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return runner


@pytest.fixture(scope="module")
def whole(faces_csv, default_bundle):
    """The lines of a run that nothing interrupted."""
    out = faces_csv.with_name("whole.jsonl")
    words = [str(faces_csv), "--faces", "--bundle", str(default_bundle.path), "--engine", "onnx", "--out", str(out)]
    assert main(["bulk", *words, "--workers", "1"]) == 0
    return out.read_text(encoding="utf-8").splitlines()


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def started(default_bundle, faces_csv, tmp_path):
    """Function that starts a slow run in a group of its own and waits until rows are safe; kills what is left."""
    processes = []

    def start(out):
        words = [faces_csv, "--faces", "--bundle", default_bundle.path, "--engine", "onnx", "--out", out]
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, *map(str, words), "--workers", "2", "--batch-size", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        record = out.with_name(f"{out.name}.partial.json")
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            assert process.poll() is None, process.communicate()
            if record.exists() and json.loads(record.read_text(encoding="utf-8"))["n_rows"] > 0:
                return process
            time.sleep(0.005)
        raise AssertionError("nothing was saved within a minute")

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def children(process):
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def test_faces_of_a_csv(whole, pipelines, faces_csv):
    rows = [json.loads(line) for line in whole]
    assert [row["index"] for row in rows] == list(range(N_FACES))
    assert {row["schema"] for row in rows} == {"fer-edge/bulk/1"}
    assert {row["source"] for row in rows} == {str(faces_csv)}
    assert rows[7]["csv"] == {"emotion": "3", "Usage": "Test 7"}
    text = faces_csv.read_text(encoding="utf-8").splitlines()[8].split(",")[1]
    probs = pipelines("onnx").classifier(np.array(text.split(), np.uint8).reshape(48, 48))
    assert list(rows[7]["probs"].values()) == pytest.approx(probs.tolist(), abs=2e-6)


def test_photos_of_a_tree_with_a_bad_one(bulk, tmp_path):
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    shutil.copy(demo_photo_path(), tree / "a.png")
    shutil.copy(demo_photo_path(), tree / "b" / "c.png")
    (tree / "b" / "bad.jpg").write_bytes(b"no picture")
    out = tmp_path / "out.jsonl"
    code, text, err = bulk(tree, "--out", out, "--workers", 2, "--min-face", 60)
    assert code == 1
    assert text.startswith(f"{out}: 3 rows; ")
    assert err.splitlines()[-1] == (
        "fer-edge: error: 1 of 3 inputs could not be read; their rows in the result say why under error"
    )
    first, bad, last = read_rows(out)
    assert [row["source"] for row in (first, bad, last)] == [
        str(tree / name) for name in ("a.png", "b/bad.jpg", "b/c.png")
    ]
    assert "csv" not in first
    assert first["faces"] == last["faces"]
    assert [face["emotion"] for face in first["faces"]] == ["happy"]
    assert (bad["size_wh"], bad["faces"]) == (None, None)
    assert "not a picture" in bad["error"]


def test_it_is_not_done_twice(bulk, tmp_path):
    shutil.copy(demo_photo_path(), tmp_path / "a.png")
    out = tmp_path / "out.jsonl"
    words = (tmp_path, "--out", out, "--workers", 1)
    assert bulk(*words)[0] == 0
    code, _, err = bulk(*words)
    assert code == 2
    assert err == f"fer-edge: error: {out} exists already; choose another name or add --force to replace it\n"
    assert bulk(*words, "--force")[0] == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_signal_ends_it_and_it_goes_on(bulk, started, faces_csv, whole, tmp_path, number, code):
    out = tmp_path / "out.jsonl"
    process = started(out)
    workers = children(process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.splitlines()[-1] == (
        f"fer-edge: interrupted; {out}.partial keeps what is done, the same command goes on from there"
    )
    assert "Traceback" not in err
    assert len(workers) == 2
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    assert not out.exists()
    n_before = len((tmp_path / "out.jsonl.partial").read_text(encoding="utf-8").splitlines())
    assert 0 < n_before < N_FACES
    exit_code, text, _ = bulk(faces_csv, "--faces", "--out", out, "--workers", 2)
    assert exit_code == 0
    assert text.startswith(f"{out}: {N_FACES} rows, {n_before} of them before; ")
    assert_same_rows(out, whole)


def test_it_goes_on_after_kill_9(bulk, started, faces_csv, whole, tmp_path):
    out = tmp_path / "out.jsonl"
    process = started(out)
    workers = children(process)
    process.kill()
    process.communicate()
    deadline_s = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline_s, "the workers outlive their parent"
        time.sleep(0.01)
    assert bulk(faces_csv, "--faces", "--out", out, "--workers", 2)[0] == 0
    assert_same_rows(out, whole)


def test_a_worker_that_is_killed_is_told_and_it_goes_on(bulk, started, faces_csv, whole, tmp_path):
    out = tmp_path / "out.jsonl"
    process = started(out)
    os.kill(children(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(
        r"fer-edge: error: a worker process was ended by SIGKILL \(memory may have run out; give a smaller --workers\)"
        r" at one of the inputs \d+ to \d+, '.*faces\.csv'; the same command goes on from here",
        err.splitlines()[-1],
    )
    assert bulk(faces_csv, "--faces", "--out", out, "--workers", 2)[0] == 0
    assert_same_rows(out, whole)


def assert_same_rows(out, whole):
    """Each input once, in order; sessions of another batch size may round the last digit differently."""
    rows, expected = read_rows(out), [json.loads(line) for line in whole]
    assert [row["index"] for row in rows] == list(range(N_FACES))
    assert [row["csv"] for row in rows] == [row["csv"] for row in expected]
    found, wanted = (np.array([list(row["probs"].values()) for row in each]) for each in (rows, expected))
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--out", "x.txt"], "expected a name that ends in .jsonl or .parquet", id="no known name"),
        pytest.param(["--out", "x.jsonl", "--workers", "0"], "workers: expected a whole number from 1", id="workers"),
        pytest.param(["--out", "x.jsonl", "--batch-size", "8"], "--batch-size: expected --faces", id="batch of photos"),
        pytest.param(["--out", "x.jsonl", "--faces", "--min-face", "20"], "--min-face: expected photos", id="min face"),
        pytest.param(["--out", "x.jsonl", "--min-face", "0"], "min_face_px", id="no smallest face"),
        pytest.param(["--out", "x.jsonl", "--engine", "onxx"], "did you mean onnx", id="engine"),
    ],
)
def test_a_wrong_command_line(capsys, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_photo_path(), tmp_path / "a.png")
    assert main(["bulk", ".", *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_pixels_are_faces(bulk, faces_csv, tmp_path):
    code, _, err = bulk(faces_csv, "--out", tmp_path / "out.jsonl")
    assert code == 2
    assert err.endswith("its column pixels holds faces that are cut already; add --faces\n")


def test_the_folder_of_the_result_is_missing(bulk, tmp_path):
    shutil.copy(demo_photo_path(), tmp_path / "a.png")
    code, _, err = bulk(tmp_path, "--out", tmp_path / "none" / "out.jsonl")
    assert code == 1
    assert "does not exist; create it first" in err
