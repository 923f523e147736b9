"""A configuration to begin with, from a board's profile."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fer_edge_devices.profile import Profile, recommended_run_options

__all__ = ["config_text"]

_TEXT = """\
# fer-edge, for: {title}. Check it with: fer-edge service check FILE
# The figures are a starting point and no measurement: fer-edge tune and fer-edge bench measure.

[source]
# A camera (0, /dev/v4l/by-id/..., picamera) or a stream (rtsp://USER:${{CAMERA_PASSWORD}}@HOST/PATH).
spec = {spec}
# Asked of a camera; leave both out for a stream.
{asks}size_wh = [{width}, {height}]
{asks}fps = {fps}
# Offline for so long, the process ends for a new one to try: some drivers never come back.
offline_restart_s = 120

[pipeline]
# bundle = "/opt/fer-edge/bundle"
{engine}{threads}
# The smallest face looked for, in pixels of the frame.
min_face_px = {min_face_px}

[tracking]
# Frames from one detection to the next, at most; faces are followed between.
detect_every = {detect_every}
# max_latency_ms = 50.0
# max_cpu_percent = 50.0

[preview]
# Whoever can connect sees pictures of people.
# address = "127.0.0.1:8080"

[service]
# No frame processed for so long while the camera delivers: systemd ends the process and starts another.
watchdog_s = 40
memory_max_mb = {memory_max_mb}
# Members of this group may connect to the sink "unix".
# group = "firmware"
# Files of secrets; ${{NAME}} above, and password_env of MQTT, find them by these names.
# credentials = {{ CAMERA_PASSWORD = "/etc/fer-edge/camera-password" }}

# For the firmware's own process; see docs/sinks.md for jsonl, mqtt, prometheus and stdout.
[[sink]]
kind = "unix"
path = "/run/fer-edge/results.sock"
content = "frames"
"""


def config_text(profile: Profile, usable_engines: Iterable[str], *, spec: str) -> str:
    """Return a commented configuration.

    Args:
        profile: of the board.
        usable_engines: that work here.
        spec: of the source, a camera that was found.
    """
    options = recommended_run_options(profile, usable_engines)
    engine = options.get("engine")
    width, height = profile.camera.size_wh
    return _TEXT.format(
        title=profile.title,
        spec=json.dumps(spec),
        # A pipeline states its own size.
        asks="# " if spec.startswith("gst:") else "",
        width=width,
        height=height,
        fps=profile.camera.fps,
        engine=f'engine = "{engine}"\n' if engine is not None else '# engine = "litert"\n',
        threads=f"threads = {profile.run.threads}",
        min_face_px=profile.run.min_face_px,
        detect_every=profile.run.detect_every,
        memory_max_mb=profile.service.memory_max_mb,
    )
