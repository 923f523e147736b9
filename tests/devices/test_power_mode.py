"""Power modes of the recorded Jetsons, and of broken files."""

import pytest
from devices.recorded_trees import recorded, write_tree

from fer_edge_devices.power_mode import PowerMode, read_power_mode

CONF = "< POWER_MODEL ID=0 NAME=15W >\n<POWER_MODEL ID=2 NAME=MAXN_SUPER>\n"


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("jetson-nano", ("MAXN", 0, {0: "MAXN", 1: "5W"})),
        ("jetson-orin-nano", ("25W", 2, {0: "15W", 1: "25W", 2: "MAXN_SUPER"})),
        ("raspberry-pi-5", None),
    ],
)
def test_recorded(device, expected):
    mode = read_power_mode(recorded(device))
    assert (mode and (mode.name, mode.unlimited, mode.names)) == expected


@pytest.mark.parametrize(
    ("status", "conf", "expected"),
    [
        pytest.param("pmode:0008 fmode:quiet", CONF, PowerMode(number=8, names={0: "15W", 2: "MAXN_SUPER"}), id="fan"),
        pytest.param("pmode:0002\n", None, PowerMode(number=2, names={}), id="no list"),
        pytest.param("pmode:0002", "# POWER_MODEL", PowerMode(number=2, names={}), id="no list inside"),
        pytest.param("pmode:", CONF, None, id="no number"),
        pytest.param("", CONF, None, id="empty"),
        pytest.param("mode 2", CONF, None, id="other words"),
    ],
)
def test_made(tmp_path, status, conf, expected):
    files = {"/var/lib/nvpmodel/status": status} | ({"/etc/nvpmodel.conf": conf} if conf is not None else {})
    assert read_power_mode(write_tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("number", "names", "name", "unlimited"),
    [(2, {2: "MAXN"}, "MAXN", 2), (8, {2: "MAXN"}, "8", 2), (0, {0: "15W"}, "15W", None), (3, {}, "3", None)],
)
def test_names(number, names, name, unlimited):
    mode = PowerMode(number=number, names=names)
    assert (mode.name, mode.unlimited) == (name, unlimited)
