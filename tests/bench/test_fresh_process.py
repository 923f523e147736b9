"""A job goes into a process of its own; answers, errors and crashes come back as what they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_edge.errors import FerEdgeError, InputError, IntegrityError, MissingExtraError
from fer_edge_bench.fresh_process import ask_fresh_process

MODULE = """
import os, sys
from dataclasses import dataclass
from fer_edge.errors import IntegrityError
from fer_edge_bench.fresh_process import answer_job


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
    [("environment", "3,3,3,3"), ("opencv", "3"), ("modules", ""), ("chatter", "größe")],
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
