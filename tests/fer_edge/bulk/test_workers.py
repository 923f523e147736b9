"""Worker processes: the order of what comes back, what a worker raises, and what happens when one dies."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time

import pytest

from fer_edge.bulk.inputs import Item
from fer_edge.bulk.rows import JsonEncoder
from fer_edge.bulk.workers import Task, WorkerPool
from fer_edge.errors import EngineError


class SlowPredictor:
    """Stands in for the predictor: an item's source says what to do with it."""

    def load(self):
        pass

    def analyse(self, items):
        for item in items:
            word, _, argument = item.source.partition(" ")
            if word == "sleep":
                time.sleep(float(argument))
            elif word == "raise":
                raise EngineError(argument)
            elif word == "kill":
                faulthandler.disable()  # pytest's would write a page
                os.kill(os.getpid(), int(argument))
            elif word == "exit":
                os._exit(int(argument))
        return [{"error": item.problem, "process": os.getpid()} for item in items]


def tasks(*sources):
    return [Task(number, number, [Item(source=source)]) for number, source in enumerate(sources)]


def pool(n_workers):
    return WorkerPool(SlowPredictor(), JsonEncoder(), n_workers)


def test_results_come_in_order_from_all_workers():
    with pool(3) as workers:
        found = list(workers.run(tasks("sleep 0.3", *["sleep 0.02"] * 40)))
        assert len(workers.process_ids) == 3
    assert [done.number for done in found] == list(range(41))
    rows = [json.loads(done.payload) for done in found]
    assert [row["index"] for row in rows] == list(range(41))
    assert len({row["process"] for row in rows}) == 3


def test_errors_are_counted_by_task():
    task = Task(0, 0, [Item(source="a"), Item(source="b", problem="bad"), Item(source="c", problem="bad")])
    with pool(1) as workers:
        (done,) = workers.run([task])
    assert done.n_errors == 2
    assert [json.loads(line)["error"] for line in done.payload.splitlines()] == [None, "bad", "bad"]


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield Task(number, number, [Item(source="a")])
            number += 1

    with pool(2) as workers:
        results = workers.run(endless())
        for _ in range(10):
            next(results)
    assert len(taken) < 50


def test_large_tasks_and_answers_do_not_wait_for_each_other():
    """Both are larger than what a pipe holds."""
    large = tasks(*["a" * 1_000_000] * 12)
    with pool(2) as workers:
        assert sum(len(done.payload) for done in workers.run(large)) > 12_000_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("raise no such shape", "^no such shape$", id="raised"),
        pytest.param("kill 9", r"^a worker process was ended by SIGKILL \(memory may have run out", id="killed"),
        pytest.param("kill 11", r"ended by SIGSEGV \(a library crashed\) at one of the inputs 3 to 3", id="crashed"),
        pytest.param("exit 3", "exit code 3 at one of the inputs 3 to 3, 'exit 3'; the same command", id="ended"),
    ],
)
def test_a_worker_that_fails(source, message):
    done = []
    with pytest.raises(EngineError, match=message), pool(2) as workers:  # noqa: PT012
        process_ids = workers.process_ids
        for one in workers.run(tasks("a", "b", "c", source, *["sleep 0.01"] * 20)):
            done.append(one.number)
    assert done[:3] == [0, 1, 2][: len(done)]
    assert 3 not in done
    for process_id in process_ids:
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_to_the_group_leaves_the_workers_to_the_parent(number):
    with pool(2) as workers:
        results = workers.run(tasks(*["sleep 0.05"] * 8))
        next(results)
        for process_id in workers.process_ids:
            os.kill(process_id, number)
        assert len(list(results)) == 7


def test_too_many_processes(monkeypatch):
    from multiprocessing.context import ForkProcess

    start, started = ForkProcess.start, []

    def limited(process):
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(process)
        started.append(process)

    monkeypatch.setattr(ForkProcess, "start", limited)
    with pytest.raises(EngineError, match=r"^cannot start 5 workers: Resource temporarily unavailable; give a smaller"):
        pool(5)
    assert [process.exitcode for process in started] == [-signal.SIGKILL] * 2
