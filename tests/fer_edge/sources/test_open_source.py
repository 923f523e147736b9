"""Which text opens which source, and what can be asked of which."""

from __future__ import annotations

import pytest
from runtime_support import run_cli, run_python

from fer_edge.errors import UsageError
from fer_edge.sources import LiveOptions, open_source


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("rtsp://camera/stream", "a stream"),
        ("gst:videotestsrc ! appsink", "a pipeline"),
        ("-", "frames on standard input"),
        ("photo.jpg", "a file"),
    ],
)
@pytest.mark.parametrize("asked", [{"size_wh": (640, 480)}, {"fps": 5.0}], ids=["size", "rate"])
def test_size_and_rate_are_asked_of_a_camera_alone(spec, what, asked):
    with pytest.raises(UsageError) as caught:
        open_source(spec, live=LiveOptions(**asked))
    assert str(caught.value) == f"a size or a rate can be asked of a camera alone, found {what}; leave them out"


@pytest.mark.parametrize(
    ("spec", "exit_code"),
    [
        ("/dev/video97", 1),
        ("97", 1),
        ("rtsp://keeper:secret@127.0.0.1:1/stream", 1),
        ("rtsp:/keeper:secret@camera", 1),
        ("http://keeper:secret@camera.invalid/", 1),
        ("raw:640x480:rgb", 1),
        ("picamera:9", 3),
        ("gst:videotestsrc ! appsink", 3),
    ],
)
def test_the_command_line_says_it_in_one_line(spec, exit_code):
    done = run_cli("run", spec)
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("fer-edge: error: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_a_file_loads_nothing_of_cameras():
    code = (
        "import sys\nfrom fer_edge.sources import open_source\n"
        "try:\n    open_source('/nowhere.jpg')\nexcept ValueError:\n    pass\n"
        "print(sorted({'picamera2', 'ssl', 'socket', 'fer_edge.sources.stream'} & set(sys.modules)))"
    )
    assert run_python(code).stdout == "[]\n"
