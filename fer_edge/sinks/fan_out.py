"""Many sinks as one: what fails is told once and tried again, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from fer_edge.errors import OutputError, UsageError
from fer_edge.sinks.base import FrameResult, Sink

__all__ = ["FanOut"]

# A sink that fails and recovers again and again is told of no more often; its losses are counted all the same.
_QUIET_S = 60.0


@dataclass(slots=True, eq=False)
class _Member:
    sink: Sink
    n_failed: int = 0
    n_lost_before: int = 0  # the trouble
    trouble: str | None = None
    is_told: bool = False
    told_s: float | None = None

    @property
    def n_lost(self) -> int:
        return self.n_failed + self.sink.n_lost


class FanOut(Sink):
    """Gives each result to all sinks.

    An OutputError of one does not reach the caller. Other errors do: standard output's, whose reader has gone, and
    those that no repetition mends.

    Args:
        tell: is given one line when a sink begins to fail, when it works again, and at the end what was lost.
        clock: seconds from any beginning.
    """

    def __init__(self, tell: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._members: dict[str, _Member] = {}

    def add(self, name: str, sink: Sink) -> None:
        """Add a sink, which is closed with the others.

        Raises:
            UsageError: another one has that name.
        """
        if name in self._members:
            raise UsageError(f"{name}: expected each sink once, found it twice")
        self._members[name] = _Member(sink)

    def n_lost_by_sink(self) -> dict[str, int]:
        """Return what each sink did not deliver so far: results, or records where one result makes several."""
        return {name: member.n_lost for name, member in list(self._members.items())}

    def write(self, result: FrameResult) -> None:
        """Give a result to all sinks."""
        for name, member in self._members.items():
            try:
                member.sink.write(result)
            except OutputError as error:
                member.n_failed += 1
                self._note(name, member, str(error))
            else:
                self._note(name, member, member.sink.trouble)

    def source_state(self, online: bool, reason: str) -> None:
        """Tell all sinks whether the source delivers."""
        for name, member in self._members.items():
            try:
                member.sink.source_state(online, reason)
            except OutputError as error:
                member.n_failed += 1
                self._note(name, member, str(error))

    def close(self) -> None:
        """Close all sinks, also where one fails, and tell what was lost."""
        with ExitStack() as closing:
            for name, member in reversed(self._members.items()):
                closing.callback(self._close, name, member)

    def _close(self, name: str, member: _Member) -> None:
        try:
            member.sink.close()
        except OutputError as error:
            member.n_failed += 1
            self._tell(f"{name}: {error}")
        if member.n_lost:
            self._tell(f"{name}: {member.n_lost} lost in all")

    def _note(self, name: str, member: _Member, trouble: str | None) -> None:
        had_trouble, member.trouble = member.trouble is not None, trouble
        if trouble is None:
            if had_trouble and member.is_told:
                self._tell(f"{name}: works again; {member.n_lost - member.n_lost_before} lost meanwhile")
            member.n_lost_before = member.n_lost
        elif not had_trouble:
            now_s = self._clock()
            member.is_told = member.told_s is None or now_s - member.told_s >= _QUIET_S
            if member.is_told:
                member.told_s = now_s
                self._tell(f"{name}: {trouble}; it is tried again, and the others go on")
