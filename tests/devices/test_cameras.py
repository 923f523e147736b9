"""Cameras among the video devices of recorded boards, and of ones made here."""

import dataclasses

import pytest
from devices.recorded_trees import recorded, write_tree

from fer_edge_devices.cameras import Camera, find_cameras


def argus(number):
    """The pipeline that docs/sources.md gives for a Jetson's camera, for one of several."""
    return (
        f"gst:nvarguscamerasrc sensor-id={number} ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! "
        "video/x-raw,format=BGR ! appsink"
    )


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("raspberry-pi-zero-2", [("/dev/video0", "unicam-image", "libcamera", "picamera")]),
        ("raspberry-pi-3", []),
        ("raspberry-pi-4", [("/dev/video0", "HD Webcam C615", "v4l2", "/dev/video0")]),
        ("raspberry-pi-5", [("/dev/video0", "rp1-cfe-csi2_ch0", "libcamera", "picamera")]),
        ("jetson-nano", [("/dev/video0", "vi-output, imx219 6-0010", "argus", argus(0))]),
        ("jetson-orin-nano", [("/dev/video0", "vi-output, imx219 9-0010", "argus", argus(0))]),
        ("x86-pc", [("/dev/video0", "Integrated Camera: Integrated C", "v4l2", "/dev/video0")]),
        ("container", []),
    ],
)
def test_recorded(device, expected):
    assert [dataclasses.astuple(found) for found in find_cameras(recorded(device))] == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(
            ["unicam-image", "Webcam", "unicam-image"], ["picamera", "/dev/video1", "picamera:1"], id="libcamera"
        ),
        pytest.param(["Webcam", "vi-output, a", "vi-output, b"], ["/dev/video0", argus(0), argus(1)], id="Argus"),
    ],
)
def test_each_way_counts_its_own(tmp_path, names, expected):
    files = {f"/sys/class/video4linux/video{n}/name": f"{name}\n" for n, name in enumerate(names)}
    assert [found.source for found in find_cameras(write_tree(tmp_path, files))] == expected


def cameras_of(tmp_path, devices):
    files = {
        f"/sys/class/video4linux/{device}/{key}": text for device, keys in devices.items() for key, text in keys.items()
    }
    return [found.path for found in find_cameras(write_tree(tmp_path, files))]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        pytest.param(
            {f"video{n}": {"name": "UVC Camera\n", "index": "0\n"} for n in (10, 2)},
            ["/dev/video2", "/dev/video10"],
            id="as people count",
        ),
        pytest.param({"video0": {"name": "UVC Camera\n"}}, ["/dev/video0"], id="no index told"),
        pytest.param({"video0": {"index": "0\n"}}, ["/dev/video0"], id="no name told"),
        pytest.param({"video0": {"name": "UVC Camera\n", "index": "1\n"}}, [], id="a camera's metadata"),
        pytest.param({"video0": {"name": "rk_hdmirx\n", "index": "0\n"}}, ["/dev/video0"], id="an unknown receiver"),
        pytest.param({"video0": {"name": "hantro-vpu-dec\n", "index": "0\n"}}, [], id="a decoder"),
        pytest.param({"video0": {"name": "Hardware video encoder\n", "index": "0\n"}}, [], id="an encoder"),
        pytest.param({"v4l-subdev0": {"name": "imx219 10-0010\n"}}, [], id="no video device"),
    ],
)
def test_made(tmp_path, devices, expected):
    assert cameras_of(tmp_path, devices) == expected


def test_a_name_is_kept_as_it_is(tmp_path):
    tree = write_tree(tmp_path, {"/sys/class/video4linux/video3/name": "Caméra \x1b[2J\n"})
    expected = Camera(path="/dev/video3", name="Caméra \x1b[2J", access="v4l2", source="/dev/video3")
    assert find_cameras(tree) == (expected,)
