"""Files of a system are read without ever raising; links of a tree do not lead out of it."""

import os
import sys

import pytest
from devices.recorded_trees import write_tree

from fer_edge_devices import system_tree
from fer_edge_devices.system_tree import SystemTree, run_tool


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"ondemand\n", "ondemand", id="a line"),
        pytest.param(b"Raspberry Pi 5\0", "Raspberry Pi 5", id="the device tree's NUL"),
        pytest.param(b"a,b\0c,d\0\n", "a,b\0c,d", id="NULs inside stay"),
        pytest.param(b"  two \n\n", "  two ", id="spaces stay"),
        pytest.param(b"\xff\xfeA", "\ufffd\ufffdA", id="no UTF-8"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"x" * 100_000, "x" * 100_000, id="longer than one read"),
    ],
)
def test_text(tmp_path, content, expected):
    assert write_tree(tmp_path, {"/sys/file": content}).read_text("/sys/file") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("48312\n", 48312, id="a number"),
        pytest.param(" 7 ", 7, id="spaces"),
        pytest.param("-256000\n", -256000, id="negative"),
        pytest.param("18446744073709551615\n", 2**64 - 1, id="the largest of 64 bits"),
        pytest.param("18446744073709551616\n", None, id="one more"),
        pytest.param("9" * 5000, None, id="more digits than Python reads"),
        pytest.param("N/A\n", None, id="words"),
        pytest.param("12 34\n", None, id="two numbers"),
        pytest.param("1_000\n", None, id="Python's grouping"),
        pytest.param("\u0663", None, id="other digits"),
        pytest.param("1.5\n", None, id="a fraction"),
        pytest.param("0x10\n", None, id="hexadecimal"),
        pytest.param("", None, id="empty"),
        pytest.param("\0\n", None, id="a NUL"),
    ],
)
def test_number(tmp_path, content, expected):
    assert write_tree(tmp_path, {"/sys/file": content}).read_int("/sys/file") == expected


@pytest.mark.parametrize(
    "path",
    [pytest.param("/sys/none", id="absent"), pytest.param("/sys", id="a folder"), pytest.param("/a\0b", id="a NUL")],
)
def test_what_is_no_file(tmp_path, path):
    tree = write_tree(tmp_path, {"/sys/file": "1"})
    for system in (tree, SystemTree()):
        assert system.read_text(path) is None
        assert system.read_int(path) is None
    assert tree.denied == ()


@pytest.mark.parametrize("path", ["/sys/none/*", "/a\0b/*", "/sys/file/*"])
def test_listing_what_is_no_folder(tmp_path, path):
    assert write_tree(tmp_path, {"/sys/file": "1"}).glob(path) == ()
    assert SystemTree().glob(path) == ()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert SystemTree(tmp_path).read_text("/pipe") == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/dev/video0", True, id="there"),
        pytest.param("/dev/video1", False, id="absent"),
        pytest.param("/a\0b", False, id="a NUL"),
        pytest.param("/dev/loop", False, id="a link to itself"),
    ],
)
def test_open_to_this_user(tmp_path, path, expected):
    tree = write_tree(tmp_path, {"/dev/video0": ""})
    (tmp_path / "dev" / "loop").symlink_to("loop")
    assert tree.is_open(path) is expected


def test_this_system():
    text = SystemTree().read_text("/proc/self/status")
    assert text is not None
    assert text.startswith("Name:")
    assert "/proc/self/status" in SystemTree().glob("/proc/self/sta*")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("/cpu/cpu*", ("/cpu/cpu2", "/cpu/cpu10", "/cpu/cpufreq"), id="numbers as people count"),
        pytest.param("/cpu/cpu[0-9]*", ("/cpu/cpu2", "/cpu/cpu10"), id="a set"),
        pytest.param("/cpu/cpu?", ("/cpu/cpu2",), id="one letter"),
        pytest.param("/cpu/*/online", ("/cpu/cpu2/online", "/cpu/cpu10/online"), id="in the middle"),
        pytest.param("/cpu/cpu2/online", ("/cpu/cpu2/online",), id="no pattern"),
        pytest.param("/cpu/cpu3/online", (), id="absent"),
        pytest.param("/cap/rapl:*", ("/cap/rapl:0", "/cap/rapl:0:0"), id="colons"),
    ],
)
def test_glob(tmp_path, pattern, expected):
    tree = write_tree(
        tmp_path,
        {
            "/cpu/cpu10/online": "1",
            "/cpu/cpu2/online": "1",
            "/cpu/cpufreq/boost": "1",
            "/cpu/.cpu3/online": "1",
            "/cap/rapl:0:0/name": "core",
            "/cap/rapl:0/name": "package-0",
        },
    )
    assert tree.glob(pattern) == expected


@pytest.fixture
def linked(tmp_path):
    """A tree with links, and a file beside it that they must not reach."""
    tree = write_tree(tmp_path / "root", {"/sys/devices/hwmon0/name": "ina3221\n", "/etc/secret": "inside\n"})
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "secret").write_text("outside\n", encoding="utf-8")
    links = tmp_path / "root" / "sys" / "class"
    links.mkdir()
    for name, target in {
        "relative": "../devices/hwmon0",
        "absolute": "/sys/devices/hwmon0",
        "chain": "relative",
        "up": "../../../../../../etc",
        "outside": str(tmp_path / "etc"),
        "loop": "loop",
    }.items():
        (links / name).symlink_to(target)
    return tree


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/sys/class/relative/name", "ina3221", id="relative"),
        pytest.param("/sys/class/absolute/name", "ina3221", id="absolute, from the tree's root"),
        pytest.param("/sys/class/chain/name", "ina3221", id="a link to a link"),
        pytest.param("/sys/class/up/secret", "inside", id="upwards no further than the root"),
        pytest.param("/../etc/secret", "inside", id="upwards in the path itself"),
        pytest.param("/sys/class/outside/secret", None, id="a target outside"),
        pytest.param("/sys/class/loop/name", None, id="a link to itself"),
    ],
)
def test_links(linked, path, expected):
    assert linked.read_text(path) == expected


def test_glob_follows_links_inside(linked):
    assert linked.glob("/sys/class/*/name") == (
        "/sys/class/absolute/name",
        "/sys/class/chain/name",
        "/sys/class/relative/name",
    )


def test_denied_is_remembered_once_and_in_order(tmp_path, monkeypatch):
    tree = write_tree(tmp_path, {"/b": "1", "/a": "2", "/open": "3"})
    open_really = os.open

    def open_some(path, *arguments):
        if path.name in ("a", "b"):
            raise PermissionError(13, "Permission denied")
        return open_really(path, *arguments)

    monkeypatch.setattr(os, "open", open_some)
    assert [tree.read_text("/b"), tree.read_int("/a"), tree.read_text("/b"), tree.read_text("/open")] == [
        None,
        None,
        None,
        "3",
    ]
    assert tree.denied == ("/b", "/a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_denied_by_the_system(tmp_path):
    tree = write_tree(tmp_path, {"/sys/file": "1", "/folder/file": "1"})
    (tmp_path / "sys" / "file").chmod(0)
    (tmp_path / "folder").chmod(0)
    try:
        assert tree.read_int("/sys/file") is None
        assert tree.glob("/folder/*") == ()
        assert tree.denied == ("/sys/file", "/folder")
        assert not tree.is_open("/sys/file")
    finally:
        (tmp_path / "folder").chmod(0o700)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("print(' temp=42.8 ')", "temp=42.8", id="output"),
        pytest.param("pass", "", id="no output"),
        pytest.param("print('half'); raise SystemExit(1)", None, id="fails"),
        pytest.param("import time; time.sleep(30)", None, id="hangs"),
        pytest.param("import sys; sys.stdout.buffer.write(b'\\xff')", "\ufffd", id="no UTF-8"),
        pytest.param("import sys; print(sys.stdin.read())", "", id="reads what nobody writes"),
    ],
)
def test_program(monkeypatch, code, expected):
    monkeypatch.setattr(system_tree, "_TOOL_TIMEOUT_S", 0.5 if "sleep" in code else 30)
    assert run_tool([sys.executable, "-S", "-c", code]) == expected


@pytest.mark.parametrize("command", [["no-such-program-here"], ["/"], ["a\0b"]])
def test_program_that_cannot_start(command):
    assert run_tool(command) is None
