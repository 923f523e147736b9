"""A job goes into a process of its own; answers, errors and crashes come back as what they are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_edge.errors import FerEdgeError, InputError, IntegrityError, MissingExtraError
from fer_edge_bench import fresh_process
from fer_edge_bench.fresh_process import FreshProcess, ask_fresh_process, die_with_parent

MODULE = """
import os, signal, sys, time
from dataclasses import dataclass
from fer_edge.errors import IntegrityError
from fer_edge_bench.fresh_process import answer_job, die_with_parent


@dataclass(frozen=True)
class Job:
    action: str


@dataclass(frozen=True)
class Answer:
    text: str


def work(job: Job) -> Answer:
    match job.action:
        case "environment":
            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
            return Answer(",".join(os.environ[name] for name in names))
        case "opencv":
            from fer_edge._cv2 import import_cv2

            return Answer(str(import_cv2().getNumThreads()))
        case "modules":
            return Answer(",".join(sorted({"numpy", "cv2", "pytest", "tensorflow"} & set(sys.modules))))
        case "chatter":
            print("an engine says hello")
            os.write(1, b"and so does its C++ part\\n")
            return Answer("größe")
        case "damaged":
            raise IntegrityError("the bundle is damaged")
        case "bug":
            sys.stderr.write("talk\\n")
            raise RuntimeError("a bug")
        case "abort":
            sys.stderr.write("terminate called\\n")
            sys.stderr.flush()
            os.abort()
        case "silent":
            os._exit(0)
        case "until asked":
            asked = []
            signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
            print("ready", file=sys.stderr, flush=True)
            while not asked:
                time.sleep(0.01)
            return Answer("as far as I came")
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", file=sys.stderr, flush=True)
            time.sleep(60)
        case "die with parent":
            die_with_parent()
            return Answer("alive")


if __name__ == "__main__":
    answer_job(Job, work)
"""


@dataclass(frozen=True)
class Job:
    action: str


@dataclass(frozen=True)
class Answer:
    text: str


@dataclass(frozen=True)
class OtherAnswer:
    words: str


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "worker_under_test.py").write_text(MODULE, encoding="utf-8")
    folders = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    return "worker_under_test"


def ask(module: str, action: str, threads: int = 1) -> str:
    return ask_fresh_process(module, Job(action), Answer, threads=threads, what="the work").text


@pytest.mark.parametrize(
    ("action", "answer"),
    [("environment", "3,3,3,3"), ("opencv", "3"), ("modules", ""), ("chatter", "größe"), ("die with parent", "alive")],
)
def test_answers(module: str, action: str, answer: str) -> None:
    assert ask(module, action, threads=3) == answer


@pytest.mark.parametrize(
    ("action", "kind", "message"),
    [
        pytest.param("damaged", IntegrityError, "^the bundle is damaged$", id="an error of fer-edge"),
        pytest.param(
            "bug", FerEdgeError, "^the work: .* ended with status 1: RuntimeError: a bug$", id="another error"
        ),
        pytest.param("abort", FerEdgeError, "^the work: .* was ended by SIGABRT: terminate called$", id="crash"),
        pytest.param("silent", FerEdgeError, "^the work: the process gave no answer: it said nothing$", id="no answer"),
    ],
)
def test_failures(module: str, action: str, kind: type[FerEdgeError], message: str) -> None:
    with pytest.raises(kind, match=message) as raised:
        ask(module, action)
    assert type(raised.value) is kind


def test_an_answer_of_another_form(module: str) -> None:
    with pytest.raises(InputError, match="the work: unknown key 'text'"):
        ask_fresh_process(module, Job("chatter"), OtherAnswer, threads=1, what="the work")


def started(module: str, action: str) -> FreshProcess:
    """A process that has said it is ready for a signal."""
    process = FreshProcess(module, Job(action), threads=1, what="the work")
    process.hand_over()
    assert process._process.stderr is not None
    assert process._process.stderr.readline() == "ready\n"
    return process


def test_a_process_asked_to_end_answers(module: str) -> None:
    with started(module, "until asked") as process:
        assert process.end(Answer).text == "as far as I came"


def test_one_that_does_not_end_is_waited_for_no_longer_than_told(module: str) -> None:
    before_s = time.monotonic()
    with (
        started(module, "deaf") as process,
        pytest.raises(FerEdgeError, match=r"^the work: expected the process to end within 0\.2 s"),
    ):
        process.end(Answer, within_s=0.2)
    assert process._process.returncode == -9
    assert time.monotonic() - before_s < 30


def test_one_that_cannot_answer_yet_just_ends(module: str) -> None:
    # It has not been handed its job.
    with (
        FreshProcess(module, Job("deaf"), threads=1, what="the work") as process,
        pytest.raises(FerEdgeError, match=r"^the work: the process was ended by SIGTERM"),
    ):
        process.end(Answer)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has gone")
def test_a_process_dies_with_its_parent() -> None:
    began_s = time.monotonic()
    child = (
        "import os, sys, time\n"
        "from fer_edge_bench.fresh_process import die_with_parent\n"
        "die_with_parent()\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = (
        "import os, subprocess, sys\n"
        "environment = dict(os.environ, FER_EDGE_BENCH_PARENT=str(os.getpid()))\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], env=environment, check=False)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        # A child that lived on would hold its end of the pipe open for a minute.
        assert process.stdout.read() == ""
    assert time.monotonic() - began_s < 50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has gone")
def test_a_process_whose_parent_had_gone_before_dies_at_once() -> None:
    code = "from fer_edge_bench.fresh_process import die_with_parent; die_with_parent(); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FER_EDGE_BENCH_PARENT": str(os.getpid() + 1)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (-9, b"")


def test_a_system_without_prctl(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, name: str | None) -> None: ...

    monkeypatch.setattr("ctypes.CDLL", Library)
    monkeypatch.setenv(fresh_process._PARENT_VARIABLE, str(os.getppid()))
    die_with_parent()


def test_a_process_that_nobody_started_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(fresh_process._PARENT_VARIABLE, raising=False)
    die_with_parent()


def test_the_users_folder_is_not_searched_for_modules(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "json.py").write_text("raise SystemExit('the wrong json')\n", encoding="utf-8")
    monkeypatch.chdir(here)
    assert ask(module, "modules") == ""


def test_a_relative_pythonpath_still_counts(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", *os.environ["PYTHONPATH"].split(os.pathsep)[1:]]))
    assert ask(module, "modules") == ""


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        pytest.param("raise ImportError('broken')", MissingExtraError, r'pip install "fer-edge\[onnx\]"', id="missing"),
        pytest.param("import os; os.abort()", FerEdgeError, "importing onnx: .* SIGABRT", id="crash"),
    ],
)
def test_an_engine_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[FerEdgeError], message: str
) -> None:
    from fer_edge_bench.probe import probe_engine

    (tmp_path / "onnxruntime.py").write_text(code, encoding="utf-8")
    folders = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    with pytest.raises(kind, match=message) as raised:
        probe_engine("onnx")
    assert type(raised.value) is kind
