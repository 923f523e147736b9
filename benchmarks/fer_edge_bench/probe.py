"""Tells in a fresh process whether an engine can be used, so that the asking one stays small and outlives a crash."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.engines import load_engine
from fer_edge_bench.fresh_process import answer_job, ask_fresh_process

__all__ = ["probe_engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    version: str


def probe_engine(name: str) -> str:
    """Return the version of an engine's library, after its name.

    Raises:
        MissingExtraError: it is not installed; the message names the command that installs it.
        FerEdgeError: the process that imported it crashed.
    """
    answer = ask_fresh_process(__name__, _Question(engine=name), _Answer, threads=1, what=f"importing {name}")
    return answer.version


if __name__ == "__main__":
    answer_job(_Question, lambda question: _Answer(version=load_engine(question.engine).version()))
