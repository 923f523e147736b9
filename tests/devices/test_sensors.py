"""Sensors of the recorded devices, of broken ones, and what two readings say of throttling and energy."""

import dataclasses
import os
import shutil

import pytest
from devices.recorded_trees import TREES, CountingTree, RecordedTool, recorded, write_tree
from runtime_support import run_python

from fer_edge.typed_json import parse_json, to_json_text
from fer_edge_devices.reading import FLAGS
from fer_edge_devices.sensors import (
    SensorReading,
    Sensors,
    Throttling,
    energy_between,
    energy_from_power,
    has_throttled,
)

DEVICES = sorted(path.name for path in TREES.iterdir() if path.is_dir())
UNDER_VOLTAGE, CAPPED, THROTTLED, SOFT_LIMIT = FLAGS


IMPORTED = """
import sys
before = set(sys.modules)
import fer_edge_devices.sensors
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names)))
"""


def test_the_standard_library_is_enough():
    done = run_python(IMPORTED)
    assert (done.stdout.strip(), done.stderr) == ("['fer_edge_devices']", "")


def no_tool(command):
    """A system without vendor's programs."""


def sensors_of(device):
    return Sensors(recorded(device), run=RecordedTool(TREES / device))


def throttling(**changes):
    nothing = {"source": None, "flags_now": None, "flags_occurred": None, "event_counts": {}, "cooling_states": {}}
    return Throttling(**(nothing | changes))


def reading(**changes):
    nothing = {
        "temperatures_c": {},
        "hottest_c": None,
        "clocks_mhz": {},
        "max_clock_mhz": None,
        "governors": {},
        "throttling": None,
        "power_w": {},
        "energy_j": {},
        "energy_range_j": {},
    }
    return SensorReading(**(nothing | changes))


def four(clock_mhz):
    return {f"cpu{i}": clock_mhz for i in range(4)}


RECORDED = {
    "raspberry-pi-zero-2": reading(
        temperatures_c={"cpu-thermal": 48.312},
        hottest_c=48.312,
        clocks_mhz=four(1000.0),
        max_clock_mhz=1000.0,
        governors={"policy0": "ondemand"},
        throttling=throttling(source="rpi_volt", flags_now=()),
    ),
    "raspberry-pi-3": reading(
        temperatures_c={"cpu-thermal": 62.322},
        hottest_c=62.322,
        clocks_mhz=four(1400.0),
        max_clock_mhz=1400.0,
        governors={"policy0": "ondemand"},
        throttling=throttling(source="get_throttled", flags_now=(SOFT_LIMIT,), flags_occurred=(SOFT_LIMIT,)),
    ),
    "raspberry-pi-4": reading(
        temperatures_c={"cpu-thermal": 31.641},
        hottest_c=31.641,
        clocks_mhz=four(1500.0),
        max_clock_mhz=1800.0,
        governors={"policy0": "ondemand"},
        throttling=throttling(source="get_throttled", flags_now=(), flags_occurred=()),
    ),
    "raspberry-pi-5": reading(
        temperatures_c={"cpu-thermal": 55.1},
        hottest_c=55.1,
        clocks_mhz=four(2400.0),
        max_clock_mhz=2400.0,
        governors={"policy0": "ondemand"},
        throttling=throttling(source="vcgencmd", flags_now=(), flags_occurred=(UNDER_VOLTAGE, THROTTLED)),
        # Products of the two lines of each rail, by hand.
        power_w={
            "3V7_WL_SW": 0.211427,
            "3V3_SYS": 0.202885,
            "1V8_SYS": 0.241144,
            "DDR_VDD2": 0.153667,
            "DDR_VDDQ": 0.005918,
            "1V1_SYS": 0.218505,
            "0V8_SW": 0.274261,
            "VDD_CORE": 4.501132,
            "3V3_DAC": 0.000201,
            "3V3_ADC": 0.001815,
            "0V8_AON": 0.004229,
            "HDMI": 0.106427,
        },
    ),
    "jetson-nano": reading(
        temperatures_c={
            "AO-therm": 47.5,
            "CPU-therm": 41.0,
            "GPU-therm": 38.5,
            "PLL-therm": 39.5,
            "PMIC-Die": 100.0,
            "thermal-fan-est": 40.0,
        },
        hottest_c=47.5,
        clocks_mhz=four(1479.0),
        max_clock_mhz=1479.0,
        governors={"policy0": "schedutil"},
        throttling=throttling(cooling_states={"cpu-balanced": 0, "emergency-balanced": 0, "aux-balanced": 0}),
        power_w={"POM_5V_IN": 4.18, "POM_5V_GPU": 0.123, "POM_5V_CPU": 1.845},
    ),
    "jetson-orin-nano": reading(
        temperatures_c={
            "cpu-thermal": 63.625,
            "gpu-thermal": 61.5,
            "soc0-thermal": 60.812,
            "tj-thermal": 63.781,
        },
        hottest_c=63.781,
        clocks_mhz={f"cpu{i}": 1728.0 for i in range(6)},
        max_clock_mhz=1728.0,
        governors={"policy0": "schedutil", "policy4": "schedutil"},
        throttling=throttling(
            event_counts={"oc1": 1, "oc2": 0, "oc3": 2},
            cooling_states={"cpufreq-cpu0": 0, "cpufreq-cpu4": 0, "cpu-throttle-alert": 0, "gpu-throttle-alert": 0},
        ),
        # 4984 mV x 1856 mA, 4984 x 480, 4976 x 496
        power_w={"VDD_IN": 9.250304, "VDD_CPU_GPU_CV": 2.39232, "VDD_SOC": 2.468096},
    ),
    "x86-pc": reading(
        temperatures_c={"acpitz": 27.8, "x86_pkg_temp": 52.0, "acpitz-2": 29.8},
        hottest_c=52.0,
        clocks_mhz={"cpu0": 2300.0, "cpu1": 2301.0, "cpu2": 2302.0, "cpu3": 2303.0},
        max_clock_mhz=4600.0,
        governors={f"policy{i}": "powersave" for i in range(4)},
        # Threads 0 and 1 share a core, as 2 and 3 do.
        throttling=throttling(event_counts={"cpu0 core": 3, "package0": 5, "cpu2 core": 0}),
        power_w={"amdgpu power1": 18.25},
        energy_j={
            "package-0": 26963.529117,
            "package-0/core": 7980.278886,
            "package-0/uncore": 6564.982278,
        },
        energy_range_j=dict.fromkeys(("package-0", "package-0/core", "package-0/uncore"), 262143.32885),
    ),
    "container": reading(clocks_mhz={"cpu0": 2445.406, "cpu1": 2445.406}),
}


@pytest.mark.parametrize("device", DEVICES)
def test_recorded(device):
    found, expected = sensors_of(device).read(), RECORDED[device]
    for field in dataclasses.fields(SensorReading):
        value = getattr(expected, field.name)
        if isinstance(value, dict) and all(isinstance(number, float) for number in value.values()):
            value = pytest.approx(value, abs=1e-6)
        assert getattr(found, field.name) == value, field.name


@pytest.mark.parametrize("device", DEVICES)
def test_a_reading_goes_through_json(device):
    found = sensors_of(device).read()
    assert parse_json(SensorReading, to_json_text(found), "a reading") == found


@pytest.mark.parametrize(
    ("device", "expected"),
    [("jetson-nano", 4.18), ("jetson-orin-nano", 9.250304), ("raspberry-pi-5", None), ("x86-pc", None)],
)
def test_power_of_the_whole_board(device, expected):
    found = sensors_of(device).read().board_power_w
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("device", "n_files"),
    [
        # zone, clock, governor, alarm
        ("raspberry-pi-zero-2", 4),
        # zone, clock, governor, flags
        ("raspberry-pi-4", 4),
        # 6 zones, clock, governor, 3 cooling devices, 3 rails
        ("jetson-nano", 14),
        # 6 zones, 2 clocks, 2 governors, 3 counters, 4 cooling devices, 3 rails of 2 files
        ("jetson-orin-nano", 23),
        # 3 zones, 4 clocks, 4 governors, 3 counters, a rail, 3 energies
        ("x86-pc", 18),
        # cpuinfo
        ("container", 1),
    ],
)
def test_cost_of_a_reading(device, n_files):
    tree = CountingTree(TREES / device)
    sensors = Sensors(tree, run=no_tool)
    tree.read.clear()
    tree.listed.clear()
    sensors.read()
    assert len(tree.read) == n_files
    assert len(set(tree.read)) == n_files
    assert tree.listed == []


@pytest.mark.parametrize(
    ("device", "at_first", "each_time"),
    [
        pytest.param("raspberry-pi-4", ["pmic_read_adc"], [], id="flags in a file, no chip for the rails"),
        pytest.param("raspberry-pi-zero-2", ["get_throttled", "pmic_read_adc"], [], id="no program"),
        pytest.param(
            "raspberry-pi-5",
            ["get_throttled", "pmic_read_adc"],
            ["get_throttled", "pmic_read_adc"],
            id="flags and rails",
        ),
        pytest.param("x86-pc", [], [], id="no Raspberry Pi"),
    ],
)
def test_program_runs_only_for_what_no_file_tells(device, at_first, each_time):
    tool = RecordedTool(TREES / device)
    sensors = Sensors(recorded(device), run=tool)
    assert tool.asked == at_first
    tool.asked.clear()
    sensors.read()
    assert sorted(tool.asked) == each_time


def test_without_programs_the_kernel_tells_what_it_can():
    tool = RecordedTool(TREES / "raspberry-pi-5")
    sensors = Sensors(recorded("raspberry-pi-5"), run=tool)
    tool.asked.clear()
    found = sensors.read(tools=False)
    assert tool.asked == []
    assert found.throttling == throttling(source="rpi_volt", flags_now=())
    assert found.power_w == {}


PI = {"/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.2\0"}


def test_temperature_by_the_program(tmp_path):
    tree = write_tree(tmp_path, PI | {"/vcgencmd/measure_temp": "temp=42.8'C\n"})
    sensors = Sensors(tree, run=RecordedTool(tmp_path))
    assert (sensors.read().temperatures_c, sensors.read().hottest_c) == ({"vcgencmd": 42.8}, 42.8)
    assert sensors.read(tools=False).temperatures_c == {}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "error=1 error_msg='Command not registered'",
        "throttled=",
        "throttled=0xzz",
        "VCHI initialization failed",
        "temp=N/A",
    ],
)
def test_program_that_answers_nonsense(tmp_path, answer):
    sensors = Sensors(write_tree(tmp_path, PI), run=lambda command: answer)
    assert sensors.read() == reading()


def test_program_that_stops_answering(tmp_path):
    answers = {
        "get_throttled": "throttled=0x50005",
        "measure_temp": "temp=42.8'C",
        "pmic_read_adc": "A_A current(0)=1.0A A_V volt(1)=2.0V",
    }
    sensors = Sensors(write_tree(tmp_path, PI), run=lambda command: answers.get(command[1]))
    assert sensors.read() == reading(
        temperatures_c={"vcgencmd": 42.8},
        hottest_c=42.8,
        throttling=throttling(
            source="vcgencmd", flags_now=(UNDER_VOLTAGE, THROTTLED), flags_occurred=(UNDER_VOLTAGE, THROTTLED)
        ),
        power_w={"A": 2.0},
    )
    answers.clear()
    assert sensors.read() == reading()


@pytest.mark.parametrize(
    ("text", "now", "occurred"),
    [
        ("0\n", (), ()),
        ("50005\n", (UNDER_VOLTAGE, THROTTLED), (UNDER_VOLTAGE, THROTTLED)),
        ("80000\n", (), (SOFT_LIMIT,)),
        ("20002\n", (CAPPED,), (CAPPED,)),
        ("0xf000f\n", FLAGS, FLAGS),
        # Bits that have no meaning yet.
        ("fff0fff0\n", (), ()),
    ],
)
@pytest.mark.parametrize("folder", ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"])
def test_flags_of_a_raspberry_pi(tmp_path, folder, text, now, occurred):
    tree = write_tree(tmp_path, PI | {f"/sys/devices/platform/{folder}/get_throttled": text})
    found = Sensors(tree, run=no_tool).read().throttling
    assert found == throttling(source="get_throttled", flags_now=now, flags_occurred=occurred)


def test_alarm_of_under_voltage(tmp_path):
    files = {"/sys/class/hwmon/hwmon0/name": "rpi_volt\n", "/sys/class/hwmon/hwmon0/in0_lcrit_alarm": "1\n"}
    found = Sensors(write_tree(tmp_path, files), run=no_tool).read().throttling
    assert found == throttling(source="rpi_volt", flags_now=(UNDER_VOLTAGE,))


def zone(number, kind, temp):
    folder = f"/sys/class/thermal/thermal_zone{number}"
    return ({f"{folder}/type": kind} if kind is not None else {}) | (
        {f"{folder}/temp": temp} if temp is not None else {}
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(zone(0, "cpu\n", "N/A\n"), {}, id="words"),
        pytest.param(zone(0, "cpu\n", ""), {}, id="empty"),
        pytest.param(zone(0, "cpu\n", None), {}, id="no temperature"),
        pytest.param(zone(0, "cpu\n", "9" * 30), {}, id="huge"),
        pytest.param(zone(0, "cpu\n", "200000\n"), {}, id="too hot"),
        pytest.param(zone(0, "cpu\n", "-256000\n"), {}, id="off"),
        pytest.param(zone(0, "cpu\n", "-12500\n"), {"cpu": -12.5}, id="frost"),
        pytest.param(zone(0, None, "40000\n"), {"thermal_zone0": 40.0}, id="no name"),
        pytest.param(zone(0, "\n", "40000\n"), {"thermal_zone0": 40.0}, id="an empty name"),
        pytest.param(
            zone(0, "cpu", "1000") | zone(2, "cpu", "2000") | zone(10, "cpu", "3000") | zone(1, "cpu-2", "4000"),
            {"cpu": 1.0, "cpu-2": 4.0, "cpu-3": 2.0, "cpu-4": 3.0},
            id="names twice",
        ),
        pytest.param(
            {
                "/sys/class/hwmon/hwmon0/name": "k10temp\n",
                "/sys/class/hwmon/hwmon0/temp1_label": "Tctl\n",
                "/sys/class/hwmon/hwmon0/temp1_input": "61250\n",
                "/sys/class/hwmon/hwmon0/temp3_input": "55000\n",
                "/sys/class/hwmon/hwmon1/name": "nvme\n",
                "/sys/class/hwmon/hwmon1/temp1_input": "70000\n",
            },
            {"Tctl": 61.25, "k10temp temp3": 55.0},
            id="an AMD PC",
        ),
    ],
)
def test_temperatures(tmp_path, files, expected):
    found = Sensors(write_tree(tmp_path, files), run=no_tool).read()
    assert found.temperatures_c == expected
    assert found.hottest_c == max(expected.values(), default=None)


POLICY = "/sys/devices/system/cpu/cpufreq/policy0"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({f"{POLICY}/scaling_cur_freq": "N/A\n"}, {}, id="words"),
        pytest.param({f"{POLICY}/scaling_cur_freq": "<unknown>\n"}, {}, id="the kernel's own unknown"),
        pytest.param({f"{POLICY}/scaling_cur_freq": "0\n"}, {}, id="zero"),
        pytest.param({f"{POLICY}/scaling_cur_freq": "-1500000\n"}, {}, id="negative"),
        pytest.param({f"{POLICY}/scaling_cur_freq": "99999999999\n"}, {}, id="huge"),
        pytest.param({}, {}, id="absent"),
        pytest.param({f"{POLICY}/scaling_cur_freq": "1500000\n"}, {"cpu0": 1500.0, "cpu1": 1500.0}, id="shared"),
        pytest.param(
            {f"{POLICY}/affected_cpus": "", "/proc/cpuinfo": "processor: 0\ncpu MHz: 800.5"},
            {"cpu0": 800.5},
            id="all of them off",
        ),
    ],
)
def test_clocks(tmp_path, files, expected):
    found = Sensors(write_tree(tmp_path, {f"{POLICY}/affected_cpus": "0 1\n"} | files), run=no_tool).read()
    assert found.clocks_mhz == expected
    assert found.max_clock_mhz is None
    assert found.governors == {}


@pytest.mark.parametrize(
    "cpuinfo",
    ["processor: x\ncpu MHz: 1", "processor: 0\ncpu MHz: fast", "cpu MHz: 1", "processor: 0\ncpu MHz: 99999999"],
)
def test_clocks_of_a_broken_cpuinfo(tmp_path, cpuinfo):
    assert Sensors(write_tree(tmp_path, {"/proc/cpuinfo": cpuinfo}), run=no_tool).read().clocks_mhz == {}


INA = "/sys/class/hwmon/hwmon0"


@pytest.mark.parametrize(
    ("voltage", "current", "expected"),
    [
        ("5000\n", "1500\n", {"VDD_IN": 7.5}),
        ("5000\n", "0\n", {"VDD_IN": 0.0}),
        ("5000\n", "-100\n", {}),
        ("N/A\n", "1500\n", {}),
        ("5000\n", "", {}),
        ("9" * 19, "9" * 19, {}),
    ],
)
def test_power_of_two_files(tmp_path, voltage, current, expected):
    files = {f"{INA}/name": "ina3221\n", f"{INA}/in1_label": "VDD_IN\n"}
    files |= {f"{INA}/in1_input": voltage, f"{INA}/curr1_input": current}
    assert Sensors(write_tree(tmp_path, files), run=no_tool).read().power_w == expected


@pytest.mark.parametrize("kind", ["Battery", "Mains", "USB"])
def test_power_of_a_supply_is_no_rail(tmp_path, kind):
    files = {f"{INA}/name": "BAT0\n", f"{INA}/device/type": f"{kind}\n", f"{INA}/power1_input": "9000000\n"}
    assert Sensors(write_tree(tmp_path, files), run=no_tool).read().power_w == {}


def test_two_power_chips_of_the_same_kind(tmp_path):
    files = {}
    for i, power in enumerate(("1000000", "2500000")):
        folder = f"/sys/class/hwmon/hwmon{i}"
        files |= {f"{folder}/name": "ina238\n", f"{folder}/power1_input": power}
    found = Sensors(write_tree(tmp_path, files), run=no_tool).read()
    assert found.power_w == {"ina238 power1": 1.0, "ina238 power1-2": 2.5}


@pytest.mark.parametrize(
    ("energy", "energy_range", "energy_j", "range_j"),
    [
        ("1500000\n", "262143328850\n", {"package-0": 1.5}, {"package-0": 262143.32885}),
        ("0\n", "N/A\n", {"package-0": 0.0}, {}),
        ("1500000\n", None, {"package-0": 1.5}, {}),
        ("N/A\n", "262143328850\n", {}, {}),
        (None, "262143328850\n", {}, {}),
    ],
)
def test_energy_counter(tmp_path, energy, energy_range, energy_j, range_j):
    folder = "/sys/class/powercap/intel-rapl:0"
    files = {
        f"{folder}/name": "package-0\n",
        f"{folder}/energy_uj": energy,
        f"{folder}/max_energy_range_uj": energy_range,
    }
    tree = write_tree(tmp_path, {path: text for path, text in files.items() if text is not None})
    found = Sensors(tree, run=no_tool).read()
    assert found.energy_j == pytest.approx(energy_j)
    assert found.energy_range_j == pytest.approx(range_j)


def test_event_counts_without_topology(tmp_path):
    files = {f"/sys/devices/system/cpu/cpu{i}/thermal_throttle/core_throttle_count": f"{i}\n" for i in range(2)}
    found = Sensors(write_tree(tmp_path, files), run=no_tool).read().throttling
    assert found == throttling(event_counts={"cpu0 core": 0, "cpu1 core": 1})


@pytest.mark.parametrize("device", DEVICES)
def test_all_sensors_vanish_after_they_were_found(tmp_path, device):
    root = tmp_path / device
    shutil.copytree(TREES / device, root)
    tool = RecordedTool(root)
    sensors = Sensors(CountingTree(root), run=tool)
    shutil.rmtree(root)
    found = sensors.read()
    assert found == reading(
        max_clock_mhz=RECORDED[device].max_clock_mhz,
        energy_range_j=found.energy_range_j,
    )


@pytest.mark.parametrize("garbage", [b"", b"\n", b"N/A\n", b"\xff\xfe\x00", b"9" * 40 + b"\n", b"-1\n"])
@pytest.mark.parametrize("device", DEVICES)
def test_garbage_in_every_file(tmp_path, device, garbage):
    root = tmp_path / device
    shutil.copytree(TREES / device, root)
    for path in root.rglob("*"):
        if path.is_file():
            path.write_bytes(garbage)
    found = Sensors(CountingTree(root), run=RecordedTool(root)).read()
    assert parse_json(SensorReading, to_json_text(found), "a reading") == found
    assert (found.clocks_mhz, found.power_w, found.energy_j, found.max_clock_mhz) == ({}, {}, {}, None)


def test_sensors_that_may_not_be_read(monkeypatch):
    open_really = os.open

    def open_some(path, *arguments):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return open_really(path, *arguments)

    monkeypatch.setattr(os, "open", open_some)
    tree = CountingTree(TREES / "x86-pc")
    sensors = Sensors(tree, run=no_tool)
    tree.read.clear()
    assert sensors.read().energy_j == {}
    assert not [path for path in tree.read if "powercap" in path]
    assert sensors.describe_denied() == tuple(
        f"/sys/class/powercap/{zone}/energy_uj: permission denied; run as root or allow reading it"
        for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1")
    )


@pytest.mark.parametrize("device", DEVICES)
def test_nothing_denied(device):
    assert sensors_of(device).describe_denied() == ()


def flags(source, now=(), occurred=()):
    return reading(throttling=throttling(source=source, flags_now=now, flags_occurred=occurred))


def counts(**event_counts):
    return reading(throttling=throttling(event_counts=event_counts))


def states(**cooling_states):
    return reading(throttling=throttling(cooling_states=cooling_states))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(reading(), reading(), None, id="nothing told"),
        pytest.param(flags("vcgencmd"), flags("vcgencmd"), None, id="nothing wrong"),
        pytest.param(
            flags("vcgencmd"),
            flags("vcgencmd", (UNDER_VOLTAGE, THROTTLED), (UNDER_VOLTAGE, THROTTLED)),
            "under-voltage, throttled",
            id="now",
        ),
        pytest.param(flags("vcgencmd", (CAPPED,)), flags("vcgencmd"), None, id="over before the second reading"),
        pytest.param(flags("vcgencmd"), flags("vcgencmd", (), (THROTTLED,)), "throttled", id="in between"),
        pytest.param(
            flags("vcgencmd", (), (THROTTLED,)), flags("vcgencmd", (), (THROTTLED,)), None, id="once since the boot"
        ),
        pytest.param(
            flags("vcgencmd", (), (THROTTLED,)),
            flags("vcgencmd", (), (UNDER_VOLTAGE, THROTTLED)),
            "under-voltage",
            id="one more since the boot",
        ),
        pytest.param(
            flags("get_throttled", (), (SOFT_LIMIT,)),
            flags("get_throttled", (), (SOFT_LIMIT,)),
            "soft temperature limit",
            id="the kernel's file tells of the last seconds",
        ),
        pytest.param(
            flags("rpi_volt", (), None), flags("vcgencmd", (), (THROTTLED,)), None, id="another source before"
        ),
        pytest.param(reading(), flags("vcgencmd", (), (THROTTLED,)), None, id="no source before"),
        pytest.param(
            flags("rpi_volt", (), None), flags("rpi_volt", (UNDER_VOLTAGE,), None), "under-voltage", id="alarm"
        ),
        pytest.param(counts(package0=5), counts(package0=5), None, id="a counter at rest"),
        pytest.param(counts(package0=5), counts(package0=6), "package0 throttled once", id="a counter by one"),
        pytest.param(counts(oc1=0, oc3=2), counts(oc1=0, oc3=39), "oc3 throttled 37 times", id="a counter"),
        pytest.param(counts(oc3=39), counts(oc3=0), None, id="a counter that began anew"),
        pytest.param(counts(), counts(oc3=39), None, id="a new counter"),
        pytest.param(reading(), counts(oc3=39), None, id="no counters before"),
        pytest.param(counts(oc3=39), reading(), None, id="no counters after"),
        pytest.param(states(alert=0), states(alert=0), None, id="cooling at rest"),
        pytest.param(states(alert=0), states(alert=1), "alert in state 1", id="cooling"),
        pytest.param(states(alert=1), states(alert=0), None, id="cooling over"),
        pytest.param(states(alert=0), states(alert=-1), None, id="a state that is none"),
    ],
)
def test_has_throttled(before, after, expected):
    assert has_throttled(before, after) == expected


def test_has_throttled_on_a_recorded_board(tmp_path):
    shutil.copytree(TREES / "jetson-orin-nano", tmp_path / "root")
    sensors = Sensors(CountingTree(tmp_path / "root"), run=no_tool)
    before = sensors.read()
    assert has_throttled(before, sensors.read()) is None
    write_tree(
        tmp_path / "root",
        {"/sys/class/hwmon/hwmon2/oc3_event_cnt": "4\n", "/sys/class/thermal/cooling_device3/cur_state": "1\n"},
    )
    assert has_throttled(before, sensors.read()) == "oc3 throttled 2 times, cpu-throttle-alert in state 1"


def energies(energy_range_j=None, **energy_j):
    return reading(energy_j=energy_j, energy_range_j=energy_range_j or {})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(energies(package=10.0), energies(package=14.5), {"package": 4.5}, id="advanced"),
        pytest.param(energies(package=10.0), energies(package=10.0), {"package": 0.0}, id="at rest"),
        pytest.param(
            energies(package=262_000.0),
            energies({"package": 262_143.5}, package=10.5),
            {"package": 154.0},
            id="began again at 0",
        ),
        pytest.param(energies(package=10.0), energies(package=4.0), {}, id="fell, range unknown"),
        pytest.param(energies(package=500.0), energies({"package": 100.0}, package=4.0), {}, id="above its range"),
        pytest.param(energies(core=1.0), energies(core=3.0, dram=9.0), {"core": 2.0}, id="a new counter"),
        pytest.param(energies(core=1.0, dram=9.0), energies(core=3.0), {"core": 2.0}, id="a counter gone"),
        pytest.param(reading(), reading(), {}, id="no counters"),
    ],
)
def test_energy_between(before, after, expected):
    assert energy_between(before, after) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("elapsed_s", "power_w", "expected_j"),
    [
        ((0.0, 2.0), (5.0, 5.0), 10.0),
        ((0.0, 1.0, 3.0), (2.0, 4.0, 0.0), 7.0),
        ((10.0, 10.5), (0.0, 8.0), 2.0),
    ],
)
def test_energy_from_power(elapsed_s, power_w, expected_j):
    assert energy_from_power(elapsed_s, power_w) == pytest.approx(expected_j)


@pytest.mark.parametrize(
    ("elapsed_s", "power_w", "message"),
    [
        ((0.0,), (5.0,), "expected two or more times and as many samples, found 1 and 1"),
        ((0.0, 1.0), (5.0,), "expected two or more times and as many samples, found 2 and 1"),
        ((0.0, 1.0, 1.0), (5.0, 5.0, 5.0), "expected ascending times, found others"),
    ],
)
def test_energy_from_power_refuses(elapsed_s, power_w, message):
    with pytest.raises(ValueError, match=message):
        energy_from_power(elapsed_s, power_w)
