"""Worker processes that share a loaded model.

The parent loads the engine's library and reads the models' bytes, then forks: the workers use the same pages of memory
and add only the engine's sessions, which each makes for itself. Engines start their threads with the first session, so
a process that has run an engine is no good parent.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

from fer_edge._cv2 import import_cv2
from fer_edge.bulk.inputs import Item
from fer_edge.bulk.predictor import BulkPredictor
from fer_edge.bulk.rows import RowEncoder, make_rows
from fer_edge.errors import EngineError, FerEdgeError

__all__ = ["Done", "Task", "WorkerPool"]

_TASKS_AHEAD = 2  # that a worker has: one it works on, one that waits
_TASKS_OUT_OF_ORDER = 8  # for each worker, how far the others may be ahead of the slowest
_END_TIMEOUT_S = 5.0  # a worker with nothing to do ends at once
_MAX_SHOWN = 200  # letters of a path in a message
# The parent decides when to end: what a terminal or `timeout` sends to the group must not end a worker before it.
_SIGNALS_OF_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Task(NamedTuple):
    """Some inputs, and which they are: tasks are numbered from 0, inputs over the whole run."""

    number: int
    first_index: int
    items: Sequence[Item]


class Done(NamedTuple):
    """A task's rows as bytes, and how many of them have an error."""

    number: int
    payload: bytes
    n_errors: int


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: ForkProcess
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)  # that it has, the one it works on first


class WorkerPool:
    """A context manager; its processes end with it, and by themselves where this one is killed."""

    def __init__(self, predictor: BulkPredictor, encoder: RowEncoder, n_workers: int) -> None:
        """Load the model and start the processes.

        Raises:
            FerEdgeError: the model cannot be loaded, see BulkPredictor.load.
        """
        # Each worker is one thread; OpenCV would start as many as there are cores in each.
        import_cv2().setNumThreads(1)
        predictor.load()
        self._workers: list[_Worker] = []
        try:
            self._start(predictor, encoder, n_workers)
        except OSError as error:
            self._kill()
            reason = error.strerror or error
            raise EngineError(f"cannot start {n_workers} workers: {reason}; give a smaller --workers") from error
        except BaseException:
            self._kill()
            raise

    def _start(self, predictor: BulkPredictor, encoder: RowEncoder, n_workers: int) -> None:
        context = multiprocessing.get_context("fork")
        # Objects that the collector has put aside are not written to when it runs in a worker: their pages stay shared.
        gc.collect()
        gc.freeze()
        # A worker ignores them, but not from its first instruction on.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_OF_THE_PARENT)
        try:
            for _ in range(n_workers):
                ours, theirs = context.Pipe()
                inherited = [ours, *(worker.connection for worker in self._workers)]
                process = context.Process(target=_work, args=(theirs, inherited, predictor, encoder), daemon=True)
                with warnings.catch_warnings():
                    # From 3.12 on Python warns where there are threads. numpy's end before a fork, by themselves.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    process.start()
                theirs.close()
                self._workers.append(_Worker(process=process, connection=ours))
        finally:
            gc.unfreeze()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def process_ids(self) -> list[int]:
        """Of the workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield what becomes of each task, in their order.

        Raises:
            EngineError: a worker died.
            FerEdgeError: what a worker raised.
        """
        numbered = iter(tasks)
        window = _TASKS_OUT_OF_ORDER * len(self._workers)
        early: dict[int, Done] = {}
        n_sent = n_yielded = 0
        is_more = True
        while True:
            while is_more and n_sent - n_yielded < window:
                worker = min(self._workers, key=lambda each: len(each.tasks))
                if len(worker.tasks) == _TASKS_AHEAD:
                    break
                task = next(numbered, None)
                if task is None:
                    is_more = False
                else:
                    self._send(worker, task)
                    n_sent += 1
            if n_sent == n_yielded:
                return
            for worker in self._ready():
                done = self._receive(worker)
                early[done.number] = done
            while n_yielded in early:
                yield early.pop(n_yielded)
                n_yielded += 1

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.connection.close()
        if kind is None:
            for worker in self._workers:
                worker.process.join(_END_TIMEOUT_S)
        self._kill()

    def _ready(self) -> list[_Worker]:
        busy = {worker.connection: worker for worker in self._workers if worker.tasks}
        return [busy[connection] for connection in wait(list(busy)) if isinstance(connection, Connection)]

    def _send(self, worker: _Worker, task: Task) -> None:
        try:
            worker.connection.send_bytes(pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
        except OSError as error:
            raise self._died(worker) from error
        worker.tasks.append(task)

    def _receive(self, worker: _Worker) -> Done:
        try:
            answer: Done | FerEdgeError = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise self._died(worker) from error
        if isinstance(answer, FerEdgeError):
            raise answer
        worker.tasks.popleft()
        return answer

    def _died(self, worker: _Worker) -> EngineError:
        worker.process.join(_END_TIMEOUT_S)
        code = worker.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = "memory may have run out; give a smaller --workers" if name == "SIGKILL" else "a library crashed"
            what = f"was ended by {name} ({hint})"
        else:
            what = f"ended with exit code {code}"
        return EngineError(f"a worker process {what}{_where(worker.tasks)}; the same command goes on from here")

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()


def _where(tasks: Sequence[Task]) -> str:
    """Say among which inputs to look for the one that ended a worker; it would end the next one, too."""
    if not tasks:
        return ""
    first, items = tasks[0].first_index, tasks[0].items
    start, end = (item.source[:_MAX_SHOWN] for item in (items[0], items[-1]))
    names = f"{start!r} to {end!r}" if start != end else repr(start)
    return f" at one of the inputs {first} to {first + len(items) - 1}, {names}"


def _work(
    connection: Connection, inherited: Sequence[Connection], predictor: BulkPredictor, encoder: RowEncoder
) -> None:
    """Answer tasks until the parent closes its end, or is gone."""
    for number in _SIGNALS_OF_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS_OF_THE_PARENT)
    # While a copy of the parent's end is open here, the end of the parent would not be noticed.
    for each in inherited:
        each.close()
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    threading.Thread(target=_receive_tasks, args=(connection, tasks), daemon=True).start()
    while (task := tasks.get()) is not None:
        try:
            rows = make_rows(task.first_index, task.items, predictor.analyse(task.items))
            n_errors = sum(row["error"] is not None for row in rows)
            answer: Done | FerEdgeError = Done(task.number, encoder.encode(rows), n_errors)
        except FerEdgeError as error:
            answer = error
        try:
            connection.send(answer)
        except OSError:
            return


def _receive_tasks(connection: Connection, tasks: SimpleQueue[Task | None]) -> None:
    """Take tasks as soon as they come, so that the parent never waits for a worker that waits for the parent."""
    try:
        while True:
            tasks.put(pickle.loads(connection.recv_bytes()))  # noqa: S301 - from the parent
    except (EOFError, OSError):
        tasks.put(None)
