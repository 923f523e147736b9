"""What the doctor finds and advises: on the recorded devices, and where one thing is wrong."""

from __future__ import annotations

import re

import cv2
import pytest
from devices.doctor_support import advised, board_and_profile, host, only, recorded_subject, subject
from devices.recorded_trees import TREES, RecordedTool, write_tree

from fer_edge_devices.doctor.board_checks import check_board
from fer_edge_devices.doctor.camera_checks import check_cameras
from fer_edge_devices.doctor.finding import Finding
from fer_edge_devices.doctor.host import Subject, this_host
from fer_edge_devices.doctor.speed_checks import check_speed

# Why each advice is right stands in the trees' README.
RECORDED = {
    "raspberry-pi-zero-2": ["system", "swap", "camera"],
    "raspberry-pi-3": ["memory", "swap", "clock", "throttling", "camera"],
    "raspberry-pi-4": [],
    "raspberry-pi-5": ["throttling", "camera"],
    "jetson-nano": ["camera"],
    "jetson-orin-nano": ["memory", "power mode", "throttling", "camera", "group"],
    "x86-pc": ["throttling"],
    "container": ["camera"],
}


def findings_of(of):
    board, profile = board_and_profile(of)
    return [*check_board(of, board, profile), *check_speed(of, profile), *check_cameras(of, board)]


@pytest.mark.parametrize("device", RECORDED)
def test_advice_on_a_recorded_device(device):
    assert advised(findings_of(recorded_subject(device))) == RECORDED[device]


def test_every_recorded_device_is_looked_at():
    assert sorted(RECORDED) == sorted(path.name for path in TREES.iterdir() if path.is_dir())


@pytest.mark.parametrize(
    ("device", "name", "found"),
    [
        ("raspberry-pi-4", "board", "Raspberry Pi 4 Model B Rev 1.5, profile raspberry-pi-4"),
        ("x86-pc", "board", "LENOVO 20XW0026GE: no profile of its own, the generic one is used"),
        ("raspberry-pi-5", "processor", "Cortex-A76 (aarch64), 4 cores, int8 dot product, float16"),
        (
            "raspberry-pi-4",
            "processor",
            "Cortex-A72 (aarch64), 4 cores, no int8 dot product: int8 models may be no faster than float32 ones, "
            "fer-edge tune tells",
        ),
        ("raspberry-pi-5", "memory", "8442 MB, 7692 MB of it free for programs"),
        ("raspberry-pi-5", "swap", "/dev/zram0 (2147 MB)"),
        ("raspberry-pi-5", "clock", "synchronised"),
        ("raspberry-pi-5", "disk", "21.4 GB free at home"),
        ("raspberry-pi-5", "throttling", "since the start: under-voltage, throttled"),
        ("raspberry-pi-3", "throttling", "now: soft temperature limit"),
        ("jetson-orin-nano", "throttling", "has slowed down: oc1, oc3"),
        ("x86-pc", "throttling", "has slowed down: cpu0 core, package0"),
        ("raspberry-pi-4", "temperature", "32 degrees Celsius, slows down at 80"),
        ("jetson-orin-nano", "temperature", "64 degrees Celsius, slows down at 99"),
        ("jetson-nano", "power mode", "MAXN"),
        ("jetson-orin-nano", "power mode", "25W of 15W, 25W, MAXN_SUPER"),
        ("raspberry-pi-4", "camera", "/dev/video0 HD Webcam C615"),
        (
            "jetson-nano",
            "camera",
            "/dev/video0 vi-output, imx219 6-0010, through Argus; OpenCV was built without GStreamer",
        ),
        ("raspberry-pi-5", "sensors", "temperature, clock, throttling, power"),
        ("container", "sensors", "clock"),
    ],
)
def test_found_on_a_recorded_device(device, name, found):
    assert only(findings_of(recorded_subject(device)), name).found == found


@pytest.mark.parametrize(
    ("device", "name", "command"),
    [
        ("raspberry-pi-zero-2", "swap", "sudo apt install zram-tools"),
        ("raspberry-pi-3", "clock", "sudo timedatectl set-ntp true"),
        ("raspberry-pi-3", "camera", "rpicam-hello --list-cameras"),
        (
            "raspberry-pi-5",
            "camera",
            "sudo apt install python3-picamera2 && python3 -m venv --system-site-packages .venv",
        ),
        ("jetson-orin-nano", "power mode", "sudo nvpmodel -m 2"),
        ("jetson-orin-nano", "camera", "sudo apt install nvidia-l4t-camera"),
        ("container", "camera", None),
    ],
)
def test_command_on_a_recorded_device(device, name, command):
    assert only(findings_of(recorded_subject(device)), name).command == command


def test_picamera2_is_enough_for_a_sensor():
    camera = only(findings_of(recorded_subject("raspberry-pi-5", has_picamera2=True)), "camera")
    assert (camera.level, camera.found) == ("ok", "/dev/video0 rp1-cfe-csi2_ch0, through libcamera")


def test_gstreamer_is_enough_for_argus():
    camera = only(findings_of(recorded_subject("jetson-nano", has_gstreamer=True)), "camera")
    assert (camera.level, camera.found) == ("ok", "/dev/video0 vi-output, imx219 6-0010, through Argus")


def test_what_is_under_voltage_is_not_called_heat():
    assert "supply" in only(findings_of(recorded_subject("raspberry-pi-5")), "throttling").advice
    assert "supply" in only(findings_of(recorded_subject("jetson-orin-nano")), "throttling").advice
    assert "hot" in only(findings_of(recorded_subject("raspberry-pi-3")), "throttling").advice


PI = {"/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0"}
POLICY = "/sys/devices/system/cpu/cpufreq/policy0"


@pytest.mark.parametrize(
    ("governor", "driver", "level"),
    [
        pytest.param("powersave", "cpufreq-dt", "advice", id="the lowest clock"),
        pytest.param("powersave", None, "advice", id="no driver told"),
        pytest.param("powersave", "intel_pstate", "ok", id="Intel's own"),
        pytest.param("powersave", "amd-pstate-epp", "ok", id="AMD's own"),
        pytest.param("ondemand", "cpufreq-dt", "ok", id="with the load"),
        pytest.param("performance", "cpufreq-dt", "ok", id="the highest clock"),
    ],
)
def test_governor(tmp_path, governor, driver, level):
    files = PI | {f"{POLICY}/affected_cpus": "0\n", f"{POLICY}/scaling_governor": f"{governor}\n"}
    files |= {f"{POLICY}/scaling_driver": f"{driver}\n"} if driver else {}
    found = only(findings_of(subject(write_tree(tmp_path, files))), "governor")
    assert (found.level, found.found.partition(":")[0]) == (level, governor)
    assert found.command == (
        "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
        if level == "advice"
        else None
    )


def cpuinfo(n_cores, features):
    return "\n".join(
        f"processor : {n}\nFeatures : {features}\nCPU implementer : 0x41\nCPU part : 0xd08\n" for n in range(n_cores)
    )


@pytest.mark.parametrize(
    ("text", "name", "level", "found"),
    [
        pytest.param(
            cpuinfo(2, "asimd"), "cores", "advice", r"^2 of 4 cores are in use$", id="fewer cores than the board has"
        ),
        pytest.param(cpuinfo(4, "asimd asimddp i8mm"), "processor", "ok", "int8 dot product, int8 matrix", id="i8mm"),
        pytest.param(cpuinfo(4, "asimd asimddp asimdhp"), "processor", "ok", "dot product, float16$", id="float16"),
        pytest.param(
            "processor : 0\nflags : lm sse2\nmodel name : Old\n",
            "processor",
            "advice",
            "no AVX2$",
            id="x86 without AVX2",
        ),
        pytest.param(
            "processor : 0\nflags : lm avx2\nmodel name : New\n", "processor", "ok", "1 core, AVX2$", id="x86"
        ),
    ],
)
def test_processor(tmp_path, text, name, level, found):
    finding = only(findings_of(subject(write_tree(tmp_path, PI | {"/proc/cpuinfo": text}))), name)
    assert finding.level == level
    assert re.search(found, finding.found)


@pytest.mark.parametrize(
    ("bits", "features", "found"),
    [
        pytest.param(32, "asimd", "32-bit Python on a 64-bit kernel", id="a 32-bit system on a 64-bit kernel"),
        pytest.param(32, "neon", "32-bit Python on a 32-bit kernel", id="a 32-bit system"),
        pytest.param(64, "asimd", None, id="a 64-bit system"),
    ],
)
def test_32_bits(tmp_path, bits, features, found):
    tree = write_tree(tmp_path, PI | {"/proc/cpuinfo": cpuinfo(4, features)})
    findings = findings_of(subject(tree, pointer_bits=bits))
    assert [finding.found for finding in findings if finding.name == "system"] == ([found] if found else [])


def meminfo(total_mb, available_mb):
    return f"MemTotal: {total_mb * 1000} kB\nMemAvailable: {available_mb * 1000} kB\n"


SWAPS = "Filename Type Size Used Priority\n"


@pytest.mark.parametrize(
    ("files", "level", "words"),
    [
        pytest.param({"/proc/meminfo": meminfo(4000, 3000)}, "ok", "", id="enough"),
        pytest.param({"/proc/meminfo": meminfo(4000, 400)}, "advice", "plans 512 MB for fer-edge", id="taken"),
        pytest.param({"/proc/meminfo": meminfo(700, 600)}, "advice", "the board has 1024 MB or more", id="kept back"),
    ],
)
def test_memory(tmp_path, files, level, words):
    found = only(findings_of(subject(write_tree(tmp_path, PI | files))), "memory")
    assert found.level == level
    assert words in (found.advice or "")


@pytest.mark.parametrize(
    ("total_mb", "swaps", "level"),
    [
        pytest.param(900, "", "advice", id="little memory, no swap"),
        pytest.param(900, "/var/swap file 100000 0 -2\n", "advice", id="little memory, swap on the card"),
        pytest.param(900, "/dev/zram0 partition 100000 0 100\n", "ok", id="little memory, zram"),
        pytest.param(4000, "", "ok", id="memory enough"),
        pytest.param(4000, "/var/swap file 100000 0 -2\n", "ok", id="memory enough, swap on the card"),
    ],
)
def test_swap(tmp_path, total_mb, swaps, level):
    tree = write_tree(tmp_path, PI | {"/proc/meminfo": meminfo(total_mb, 700), "/proc/swaps": SWAPS + swaps})
    assert only(findings_of(subject(tree)), "swap").level == level


@pytest.mark.parametrize(
    ("free_bytes", "levels"), [(150_000_000, ["advice"]), (5_000_000_000, ["ok"]), (None, [])], ids=str
)
def test_disk(tmp_path, free_bytes, levels):
    findings = findings_of(subject(write_tree(tmp_path, PI), free_bytes=free_bytes))
    assert [finding.level for finding in findings if finding.name == "disk"] == levels


@pytest.mark.parametrize(("answer", "levels"), [("yes", ["ok"]), ("no", ["advice"]), ("", []), (None, [])])
def test_clock(tmp_path, answer, levels):
    def run(command):
        return answer if command[0] == "timedatectl" else None

    findings = findings_of(subject(write_tree(tmp_path, PI), run))
    assert [finding.level for finding in findings if finding.name == "clock"] == levels


@pytest.mark.parametrize(
    ("millidegrees", "level"), [(60000, "ok"), (75000, "ok"), (75001, "advice"), (86000, "advice")]
)
def test_temperature_of_a_board_whose_limit_is_known(tmp_path, millidegrees, level):
    zone = {"/sys/class/thermal/thermal_zone0/type": "cpu-thermal", "/sys/class/thermal/thermal_zone0/temp": "60000"}
    tree = write_tree(tmp_path, PI | zone | {"/sys/class/thermal/thermal_zone0/temp": str(millidegrees)})
    assert only(findings_of(subject(tree)), "temperature").level == level


@pytest.mark.parametrize(
    ("trips", "found"),
    [
        pytest.param([], "70 degrees Celsius", id="none"),
        pytest.param([("active", 50000), ("critical", 110000)], "70 degrees Celsius", id="a fan's and the end"),
        pytest.param([("passive", 95000), ("passive", 90000)], "70 degrees Celsius, slows down at 90", id="the lower"),
        pytest.param([("passive", 0)], "70 degrees Celsius", id="switched off"),
        pytest.param([("passive", "?")], "70 degrees Celsius", id="no number"),
    ],
)
def test_limit_from_trip_points(tmp_path, trips, found):
    zone = "/sys/class/thermal/thermal_zone0"
    files = {f"{zone}/type": "cpu", f"{zone}/temp": "70000"}
    for number, (kind, value) in enumerate(trips):
        files |= {f"{zone}/trip_point_{number}_type": f"{kind}\n", f"{zone}/trip_point_{number}_temp": f"{value}\n"}
    assert only(findings_of(subject(write_tree(tmp_path, files))), "temperature").found == found


def test_a_promised_sensor_that_is_not_there(tmp_path):
    zone = {"/sys/class/thermal/thermal_zone0/type": "cpu-thermal", "/sys/class/thermal/thermal_zone0/temp": "60000"}
    found = only(findings_of(subject(write_tree(tmp_path, PI | zone))), "sensors")
    assert (found.level, found.found) == ("advice", "read: temperature; not read: clock, throttling")


def test_sensors_that_this_user_may_not_read(tmp_path, monkeypatch):
    import os

    zones = {f"/sys/class/powercap/intel-rapl:{n}/energy_uj": "1" for n in range(3)}
    of = subject(write_tree(tmp_path, zones))
    open_really = os.open

    def open_some(path, *arguments):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return open_really(path, *arguments)

    monkeypatch.setattr(os, "open", open_some)
    assert only(findings_of(of), "sensors").found == (
        "read: none; /sys/class/powercap/intel-rapl:0/energy_uj: permission denied; run as root or allow reading it, "
        "and 2 more"
    )


@pytest.mark.parametrize(
    ("groups", "who", "found", "command"),
    [
        pytest.param("video:x:44:pi", {}, "pi may what video may", None, id="has it"),
        pytest.param(
            "video:x:44:root,pi",
            {"group_ids": (1000,)},
            "pi is in the group video, but was not at the last login",
            None,
            id="since the last login",
        ),
        pytest.param(
            "video:x:44:pip",
            {"group_ids": (1000,)},
            "pi is not in the group video",
            "sudo usermod -aG video pi",
            id="has it not",
        ),
        pytest.param("video:x:44:", {"group_ids": (0,), "is_root": True}, "pi may what video may", None, id="root"),
        pytest.param("audio:x:29:", {"group_ids": (1000,)}, None, None, id="there is no such group"),
        pytest.param("video:x:many:", {"group_ids": (1000,)}, None, None, id="no number"),
    ],
)
def test_group(tmp_path, groups, who, found, command):
    findings = findings_of(subject(write_tree(tmp_path, PI | {"/etc/group": f"{groups}\n"}), **who))
    told = [(finding.found, finding.command) for finding in findings if finding.name == "group"]
    assert told == ([(found, command)] if found else [])


def test_a_pc_without_camera_needs_no_group(tmp_path):
    tree = write_tree(tmp_path, {"/etc/group": "video:x:44:\n", "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n"})
    assert "group" not in [finding.name for finding in findings_of(subject(tree, group_ids=(1000,)))]


@pytest.mark.parametrize(("device", "levels"), [("/dev/video0", []), ("/dev/video1", ["advice"])])
def test_on_a_pc_a_camera_that_is_open_needs_no_group(tmp_path, device, levels):
    files = {"/etc/group": "video:x:44:\n", "/sys/class/video4linux/video0/name": "Webcam\n", device: ""}
    findings = findings_of(subject(write_tree(tmp_path, files), group_ids=(1000,)))
    assert [finding.level for finding in findings if finding.name == "group"] == levels


@pytest.mark.parametrize(
    ("files", "command"),
    [
        pytest.param(PI, "sudo systemctl set-default multi-user.target", id="a board"),
        pytest.param({"/sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, None, id="a PC"),
    ],
)
def test_only_a_board_is_to_start_without_a_desktop(tmp_path, files, command):
    found = only(findings_of(subject(write_tree(tmp_path, files | {"/proc/meminfo": meminfo(4000, 100)}))), "memory")
    assert (found.level, found.command) == ("advice", command)


def test_nothing_told_at_all(tmp_path):
    findings = findings_of(subject(write_tree(tmp_path, {}), free_bytes=None))
    assert [(finding.name, finding.level) for finding in findings] == [
        ("board", "ok"),
        ("processor", "ok"),
        ("swap", "ok"),
        ("sensors", "ok"),
        ("camera", "advice"),
    ]


def test_the_firmware_is_asked_for_nothing_on_other_boards():
    tool = RecordedTool(TREES / "x86-pc")
    of = recorded_subject("x86-pc")
    findings_of(Subject(tree=of.tree, run=tool, host=host()))
    assert tool.asked == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"section": "bord"}, "section: expected board, speed, cameras, software, found 'bord'"),
        ({"level": "bad"}, "level: expected ok, advice, problem, found 'bad'"),
        ({"level": "advice"}, "fan: expected what to do about it, found nothing"),
    ],
)
def test_a_finding_is_checked(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Finding(**({"section": "board", "name": "fan", "level": "ok", "found": "stands"} | changes))


def test_this_process():
    found = this_host()
    assert found.python[:2] >= (3, 10)
    assert found.pointer_bits in (32, 64)
    assert found.user
    assert found.group_ids
    assert found.has_gstreamer is ("GStreamer:                   YES" in cv2.getBuildInformation())
