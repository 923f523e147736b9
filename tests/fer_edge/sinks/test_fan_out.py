from __future__ import annotations

import pytest
from runtime_support import run_python

from fer_edge.errors import OutputError, UsageError
from fer_edge.sinks import open_sinks, parse_sink
from fer_edge.sinks.base import Sink
from fer_edge.sinks.fan_out import FanOut


class Scripted(Sink):
    """Fails in the frames it is told to."""

    def __init__(self, fails_at=(), error=None):
        self.fails_at = fails_at
        self.error = error or OutputError("no room")
        self.written = []
        self.states = []
        self.is_closed = False

    def write(self, result):
        if result.frame.index in self.fails_at:
            raise self.error
        self.written.append(result.frame.index)

    def source_state(self, online, reason):
        self.states.append((online, reason))

    def close(self):
        self.is_closed = True


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_one_that_fails_is_told_once_and_does_not_stop_the_others(make_result):
    told = []
    bad, good = Scripted(fails_at=(1, 2, 3)), Scripted()
    with FanOut(told.append) as sinks:
        sinks.add("bad", bad)
        sinks.add("good", good)
        for i in range(6):
            sinks.write(make_result(index=i))
        sinks.source_state(False, "unplugged")
        assert sinks.n_lost_by_sink() == {"bad": 3, "good": 0}
    assert good.written == [0, 1, 2, 3, 4, 5]
    assert bad.written == [0, 4, 5]
    assert bad.states == good.states == [(False, "unplugged")]
    assert bad.is_closed
    assert good.is_closed
    assert told == [
        "bad: no room; it is tried again, and the others go on",
        "bad: works again; 3 lost meanwhile",
        "bad: 3 lost in all",
    ]


def test_trouble_without_an_error_is_told_too(make_result):
    told = []
    slow = Scripted()
    with FanOut(told.append) as sinks:
        sinks.add("slow", slow)
        sinks.write(make_result(index=0))
        slow.trouble, slow.n_lost = "a reader sleeps", 5
        sinks.write(make_result(index=1))
        slow.n_lost = 8
        sinks.write(make_result(index=2))
        slow.trouble = None
        sinks.write(make_result(index=3))
    assert told == [
        "slow: a reader sleeps; it is tried again, and the others go on",
        "slow: works again; 8 lost meanwhile",
        "slow: 8 lost in all",
    ]


def test_what_fails_again_and_again_is_told_once_a_minute(make_result):
    told, clock = [], Clock()
    sinks = FanOut(told.append, clock)
    sinks.add("bad", Scripted(fails_at=range(1, 1000, 2)))
    for i in range(1000):
        clock.now_s = i * 0.1
        sinks.write(make_result(index=i))
    assert [line.partition(";")[0] for line in told] == ["bad: no room", "bad: works again"] * 2
    told.clear()
    sinks.close()
    assert told == ["bad: 500 lost in all"]


@pytest.mark.parametrize("error", [BrokenPipeError(), UsageError("no numbers")], ids=["pipe", "usage"])
def test_what_no_repetition_mends_reaches_the_caller_and_all_are_closed(make_result, error):
    bad, good = Scripted(fails_at=(0,), error=error), Scripted()
    sinks = FanOut(print)
    sinks.add("bad", bad)
    sinks.add("good", good)
    with pytest.raises(type(error)), sinks:
        sinks.write(make_result())
    assert bad.is_closed
    assert good.is_closed


def test_all_are_closed_where_closing_fails(make_result):
    told = []

    class FailsToClose(Scripted):
        def close(self):
            super().close()
            raise self.error

    members = [FailsToClose(error=OutputError("the disk is gone")), FailsToClose(error=KeyboardInterrupt()), Scripted()]
    sinks = FanOut(told.append)
    for number, member in enumerate(members):
        sinks.add(str(number), member)
    with pytest.raises(KeyboardInterrupt):
        sinks.close()
    assert all(member.is_closed for member in members)
    assert told == ["0: the disk is gone", "0: 1 lost in all"]


def test_sinks_together(tmp_path, make_result, capsys):
    told = []
    options = [parse_sink(spec) for spec in (f"jsonl:{tmp_path}/a", f"unix:{tmp_path}/b?content=events", "stdout")]
    with open_sinks(options, is_tracked=True, tell=told.append) as sinks:
        sinks.write(make_result((1, "happy")))
    assert (tmp_path / "a").read_text() == capsys.readouterr().out
    assert told == []


@pytest.mark.parametrize(
    ("specs", "is_tracked", "message"),
    [
        (["stdout", "stdout"], True, "stdout: expected each sink once, found it 2 times"),
        (["stdout?content=events"], False, "stdout: content=events needs a video or a camera; use content=frames"),
        (
            ["jsonl:a?content=aggregate"], False,
            "jsonl:a: content=aggregate needs a video or a camera; use content=frames",
        ),
        (
            ["stdout?content=aggregate", "prometheus:127.0.0.1:0?content=aggregate&window_s=61"], True,
            "expected one window_s and one min_faces for all sinks with content=aggregate, found several",
        ),
    ],
    ids=["twice", "events of photos", "aggregate of photos", "two windows"],
)  # fmt: skip
def test_sinks_that_do_not_go_together(specs, is_tracked, message):
    with pytest.raises(UsageError) as raised:
        open_sinks([parse_sink(spec) for spec in specs], is_tracked=is_tracked, tell=print)
    assert str(raised.value) == message


def test_where_one_cannot_be_opened_none_stays_open(tmp_path):
    options = [parse_sink(f"unix:{tmp_path}/a"), parse_sink(f"jsonl:{tmp_path}/no/b")]
    with pytest.raises(OutputError, match="cannot write"):
        open_sinks(options, is_tracked=True, tell=print)
    assert not (tmp_path / "a").exists()


def test_a_sink_that_nobody_asks_for_is_not_loaded():
    code = """
import sys
from fer_edge.sinks import open_sinks, parse_sink
with open_sinks([parse_sink("stdout")], is_tracked=True, tell=print):
    late = ("paho", "http.server", "fer_edge.sinks.mqtt", "fer_edge.sinks.unix_socket")
    print([name for name in late if name in sys.modules])
"""
    assert run_python(code).stdout == "[]\n"
