"""Where results go: each sink is asked for by its options, and all are used as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fer_edge.errors import UsageError
from fer_edge.sinks.base import FrameResult, Sink
from fer_edge.sinks.content import make_content
from fer_edge.sinks.fan_out import FanOut
from fer_edge.sinks.options import (
    JsonLinesOptions,
    MqttOptions,
    PrometheusOptions,
    SinkOptions,
    UnixSocketOptions,
    parse_sink,
    sink_from_table,
)

__all__ = ["FanOut", "FrameResult", "Sink", "SinkOptions", "open_sinks", "parse_sink", "sink_from_table"]


def open_sinks(options: Sequence[SinkOptions], *, is_tracked: bool, tell: Callable[[str], object]) -> FanOut:
    """Open sinks, to be used as one and closed together.

    Args:
        options: of each.
        is_tracked: whether faces have numbers, as those of a video have.
        tell: is given one line when a sink begins to fail, when it works again, and at the end what was lost.

    Raises:
        UsageError: two are the same, need numbers that there are not, or would together tell more than each is allowed.
        OutputError: one cannot be opened; none is then.
        MissingExtraError: one needs a package that is not installed.
    """
    _check(options, is_tracked)
    fan_out = FanOut(tell)
    try:
        for each in options:
            fan_out.add(each.name, _open(each, fan_out))
    except BaseException:
        fan_out.close()
        raise
    return fan_out


def _check(options: Sequence[SinkOptions], is_tracked: bool) -> None:
    names = [each.name for each in options]
    for each in options:
        if names.count(each.name) > 1:
            raise UsageError(f"{each.name}: expected each sink once, found it {names.count(each.name)} times")
        if each.content != "frames" and not is_tracked:
            raise UsageError(f"{each.name}: content={each.content} needs a video or a camera; use content=frames")
    # The counts of two windows that overlap differ by a few people, whom the difference would tell about.
    aggregates = {
        (each.window_or_default_s, each.min_faces_or_default) for each in options if each.content == "aggregate"
    }
    if len(aggregates) > 1:
        raise UsageError("expected one window_s and one min_faces for all sinks with content=aggregate, found several")


def _open(options: SinkOptions, fan_out: FanOut) -> Sink:
    # Each module is loaded by who asks for it: the command starts faster without the others.
    if isinstance(options, PrometheusOptions):
        from fer_edge.sinks.prometheus import PrometheusEndpoint

        return PrometheusEndpoint(options, fan_out.n_lost_by_sink)
    content = make_content(options)
    if isinstance(options, MqttOptions):
        from fer_edge.sinks.mqtt import MqttSink

        return MqttSink(content, options)
    if isinstance(options, UnixSocketOptions):
        from fer_edge.sinks.unix_socket import UnixSocket

        return UnixSocket(content, options)
    from fer_edge.sinks.json_lines import JsonLinesFile, StandardOutput

    return JsonLinesFile(content, options) if isinstance(options, JsonLinesOptions) else StandardOutput(content)
