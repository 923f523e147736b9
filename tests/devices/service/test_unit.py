"""The unit: systemd accepts it, and it allows what its configuration needs and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge.errors import UsageError
from fer_edge_devices.service.config import parse_config
from fer_edge_devices.service.unit import Program, check_name, unit_text

PROGRAM = Program(python=Path(sys.executable), config=Path("/etc/fer-edge/fer-edge.toml"))
LITERT = '[pipeline]\nengine = "litert"\n'
CAMERA = '[source]\nspec = "/dev/video0"\n' + LITERT
UNIX = '[[sink]]\nkind = "unix"\npath = "/run/fer-edge/results.sock"\n'
PICAMERA = '[source]\nspec = "picamera"\n' + LITERT
ADDRESS = '[source]\nspec = "rtsp://a:${P}@192.168.1.20/x"\n' + LITERT + '[service.credentials]\nP = "/etc/p"\n'
NAME = '[source]\nspec = "rtsps://camera.example/x"\n'
MQTT = CAMERA + '[[sink]]\nkind = "mqtt"\nhost = "broker.example"\ntopic_prefix = "x"\n'
LOCAL = CAMERA + '[preview]\naddress = "8080"\n[[sink]]\nkind = "prometheus"\nhost = "::1"\nport = 9310\n'
OPEN = CAMERA + '[preview]\naddress = "0.0.0.0:8080"\n'
GST = '[source]\nspec = "gst:nvarguscamerasrc ! appsink"\n' + LITERT
GPU = '[source]\nspec = "0"\n[pipeline]\nengine = "onnx-tensorrt"\n'
GROUP = CAMERA + '[service]\ngroup = "adm"\n' + UNIX

CONFIGS = {
    "camera": CAMERA + UNIX,
    "picamera": PICAMERA,
    "address": ADDRESS,
    "name": NAME,
    "mqtt": MQTT,
    "local": LOCAL,
    "open": OPEN,
    "gst": GST,
    "gpu": GPU,
    "group": GROUP,
}


def unit(text, program=PROGRAM, **options):
    return unit_text(parse_config(text, "fer-edge.toml"), program, **options)


def settings(text, key):
    return [line.partition("=")[2] for line in unit(text).splitlines() if line.startswith(f"{key}=")]


def analysed(tmp_path, text, *words):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    path = tmp_path / "fer-edge.service"
    path.write_text(unit(text), encoding="utf-8")
    return subprocess.run(
        ["systemd-analyze", *words, str(path)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_systemd_accepts_it(tmp_path, text):
    done = analysed(tmp_path, text, "verify")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_exposure_is_below_three(tmp_path, text):
    done = analysed(tmp_path, text, "security", "--offline=true", "--threshold=30", "--no-pager")
    if "offline" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout


NETWORK = {
    "camera": (CAMERA + UNIX, "AF_UNIX", ["yes"], ["any"], []),
    "picamera": (PICAMERA, "AF_UNIX AF_NETLINK", ["yes"], ["any"], []),
    "address": (ADDRESS, "AF_UNIX AF_INET AF_INET6", [], ["any"], ["192.168.1.20"]),
    "name": (NAME, "AF_UNIX AF_INET AF_INET6", [], [], []),
    "mqtt": (MQTT, "AF_UNIX AF_INET AF_INET6", [], [], []),
    "local": (LOCAL, "AF_UNIX AF_INET AF_INET6", [], ["any"], ["localhost"]),
    "open": (OPEN, "AF_UNIX AF_INET AF_INET6", [], [], []),
    "gst": (GST, "AF_UNIX AF_INET AF_INET6", [], [], []),
}


@pytest.mark.parametrize(("text", "families", "private", "denied", "allowed"), NETWORK.values(), ids=NETWORK)
def test_network_is_what_is_needed(text, families, private, denied, allowed):
    assert settings(text, "RestrictAddressFamilies") == [families]
    assert settings(text, "PrivateNetwork") == private
    assert settings(text, "IPAddressDeny") == denied
    assert settings(text, "IPAddressAllow") == allowed


DEVICES = {
    "camera": (CAMERA, ["char-video4linux rw"], ["video"], []),
    "picamera": (PICAMERA, ["char-video4linux rw", "char-media rw", "char-dma_heap rw"], ["video"], []),
    "stream": (ADDRESS, [], [], ["yes"]),
    "gst": (GST, [], ["video"], []),
    "gpu": (GPU, [], ["video render"], []),
}


@pytest.mark.parametrize(("text", "allowed", "groups", "private"), DEVICES.values(), ids=DEVICES)
def test_devices_are_those_of_the_camera(text, allowed, groups, private):
    assert settings(text, "DeviceAllow") == allowed
    assert settings(text, "SupplementaryGroups") == groups
    assert settings(text, "PrivateDevices") == private


@pytest.mark.parametrize("text", [GST, GPU], ids=["gst", "gpu"])
def test_nothing_closes_devices_whose_names_are_not_known(text):
    # ProtectClock= implies DeviceAllow=char-rtc, and any DeviceAllow= closes what it does not name.
    for key in ("ProtectClock", "DevicePolicy", "DeviceAllow", "PrivateDevices"):
        assert settings(text, key) == []


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("litert", ["yes"]), ("tflite", ["yes"]), ("onnx", ["yes"]), ("openvino", []), ("onnx-cuda", []), (None, [])],
)
def test_memory_is_executable_only_for_engines_that_make_code(engine, expected):
    text = '[source]\nspec = "0"\n' + (f'[pipeline]\nengine = "{engine}"\n' if engine else "")
    assert settings(text, "MemoryDenyWriteExecute") == expected
    assert settings(GST, "MemoryDenyWriteExecute") == []


def test_restarts_stay_below_five_in_a_minute():
    assert 5 * float(settings(CAMERA, "RestartSec")[0]) > 60
    assert settings(CAMERA, "StartLimitBurst") == ["5"]
    assert settings(CAMERA, "StartLimitIntervalSec") == ["60"]


def test_the_rest_follows_the_configuration():
    text = ADDRESS.replace(
        "[service.credentials]", "[service]\nwatchdog_s = 45\nmemory_max_mb = 300\n[service.credentials]"
    )
    assert settings(text, "WatchdogSec") == ["45"]
    assert settings(text, "MemoryMax") == ["300M"]
    assert settings(text, "LoadCredential") == ["P:/etc/p"]
    assert settings(text, "ExecStart") == [f"{sys.executable} -m fer_edge service run /etc/fer-edge/fer-edge.toml"]
    assert settings(CAMERA, "UMask") == ["0077"]
    assert (settings(GROUP, "UMask"), settings(GROUP, "Group")) == (["0007"], ["adm"])


@pytest.mark.parametrize(
    ("python", "expected"), [("/opt/fer-edge/bin/python", "yes"), ("/home/pi/venv/bin/python", "read-only")]
)
def test_homes_are_seen_only_by_a_program_in_one(python, expected):
    text = unit(CAMERA, Program(python=Path(python), config=Path("/etc/x.toml")))
    assert f"ProtectHome={expected}\n" in text


REFUSED = {
    "file elsewhere": ("jsonl", "/srv/frames.jsonl", "expected a file in /var/lib/fer-edge"),
    "socket elsewhere": ("unix", "/tmp/results.sock", "expected a file in /run/fer-edge"),
    "upwards": ("jsonl", "/var/lib/fer-edge/../x", "expected a file in /var/lib/fer-edge"),
}


@pytest.mark.parametrize(("kind", "path", "message"), REFUSED.values(), ids=REFUSED)
def test_a_sink_must_lie_where_the_service_may_write(kind, path, message):
    with pytest.raises(UsageError, match=message):
        unit(CAMERA + f'[[sink]]\nkind = "{kind}"\npath = "{path}"\n')


@pytest.mark.parametrize("path", ["/with space", "/a%b", "relative", "/a\nExecStart=x"])
def test_a_path_that_a_unit_would_read_otherwise_is_refused(path):
    with pytest.raises(UsageError, match="expected an absolute path"):
        Program(python=Path("/usr/bin/python3"), config=Path(path))


@pytest.mark.parametrize("name", ["", "A", "a/b", "../x", "a b", "-x"])
def test_a_name_is_letters(name):
    with pytest.raises(UsageError, match="--name: expected small letters"):
        check_name(name)


def test_another_name_has_folders_of_its_own():
    text = unit(CAMERA, name="door")
    assert "StateDirectory=door\n" in text
    assert "RuntimeDirectory=door\n" in text
