"""The arm64 root: who may build one, and that preprocessing gives the same bytes in it as outside."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import build_root
import pytest
from aarch64 import EmulationError, MissingToolError, default_root, run_in_root
from processors import PROCESSORS, Processor, write_views
from x86_64 import emulated_x86_command

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "devices" / "emulate" / "build_root.py"
WORKER = REPOSITORY / "tests" / "devices" / "preprocess_digests.py"


@pytest.fixture(scope="module")
def digests_here():
    done = subprocess.run(
        [sys.executable, str(WORKER)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.arm
@pytest.mark.parametrize("processor", PROCESSORS)
def test_preprocessing_gives_the_same_bytes_on_aarch64(arm64_root, digests_here, processor):
    done = run_in_root(arm64_root, [str(WORKER)], pythonpath=[REPOSITORY], timeout_s=300, processor=processor)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there["machine"] == "aarch64"
    assert digests_here["machine"] != "aarch64"
    assert there["digests"].keys() == digests_here["digests"].keys()
    differ = [case for case, sha256 in there["digests"].items() if digests_here["digests"][case] != sha256]
    assert differ == ["control INTER_LINEAR"]


@pytest.mark.arm
def test_root_has_the_versions_installed_here(arm64_root):
    names = list(build_root.REQUIREMENTS)
    code = f"import importlib.metadata as m, json; print(json.dumps([m.version(name) for name in {names}]))"
    done = run_in_root(arm64_root, ["-c", code], timeout_s=60)
    assert done.returncode == 0, done.stderr
    there = {f"{name}=={version}" for name, version in zip(names, json.loads(done.stdout), strict=True)}
    assert there <= set(build_root.pinned_versions(names))


@pytest.mark.arm
def test_emulated_code_reads_and_writes_files_of_this_machine(arm64_root, tmp_path):
    (tmp_path / "asked").write_bytes(b"\x00pixels\xff")
    code = (
        "import sys, pathlib; p = pathlib.Path(sys.argv[1]); (p / 'got').write_bytes((p / 'asked').read_bytes()[::-1])"
    )
    done = run_in_root(arm64_root, ["-c", code, str(tmp_path)], timeout_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "got").read_bytes() == b"\xffslexip\x00"


@pytest.mark.arm
@pytest.mark.parametrize(
    ("processor", "part", "has_dot_product"), [("cortex-a72", "0xd08", False), ("cortex-a76", "0xd0b", True)]
)
def test_processor_is_what_emulated_code_sees(arm64_root, processor, part, has_dot_product):
    # AT_HWCAP is entry 16 of the auxiliary vector; its bit 20 is the int8 dot product.
    code = (
        "import ctypes; text = open('/proc/cpuinfo').read();"
        "print(text.count(f'CPU part\\t: PART\\n'), 'asimddp' in text, ctypes.CDLL(None).getauxval(16) >> 20 & 1)"
    ).replace("PART", part)
    done = run_in_root(arm64_root, ["-c", code], timeout_s=60, processor=processor)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4", str(has_dot_product), str(int(has_dot_product))]


@pytest.mark.arm
def test_failure_inside_is_reported_with_its_stderr(arm64_root):
    done = run_in_root(arm64_root, ["-c", "raise SystemExit('no camera')"], timeout_s=60)
    assert (done.returncode, done.stderr) == (1, "no camera\n")


@pytest.mark.arm
def test_unknown_processor_is_refused(arm64_root):
    with pytest.raises(EmulationError, match="expected one of cortex-a72, cortex-a76, found 'cortex-m4'"):
        run_in_root(arm64_root, ["-c", ""], timeout_s=60, processor="cortex-m4")


def test_unknown_x86_processor_is_refused():
    with pytest.raises(EmulationError, match="expected one of Haswell, Nehalem, found 'Pentium'"):
        emulated_x86_command(["-c", ""], processor="Pentium")


def test_x86_without_qemu_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("x86_64.platform.machine", lambda: "x86_64")
    with pytest.raises(MissingToolError, match=r"qemu-x86_64-static is not installed; .* apt-get install qemu-user"):
        emulated_x86_command(["-c", ""], processor="Haswell")


def test_x86_cannot_be_emulated_with_a_python_of_another_architecture(monkeypatch):
    monkeypatch.setattr("x86_64.platform.machine", lambda: "aarch64")
    with pytest.raises(EmulationError, match="this Python is built for aarch64; one for x86_64 is needed"):
        emulated_x86_command(["-c", ""], processor="Haswell")


def test_missing_root_is_refused_before_qemu_starts(tmp_path):
    with pytest.raises(EmulationError, match=r"absent holds no arm64 root; build one with: python devices/emulate/"):
        run_in_root(tmp_path / "absent", ["-c", ""], timeout_s=1)


def test_root_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_EDGE_ARM64_ROOT", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("FER_EDGE_ARM64_ROOT")
    assert default_root() == REPOSITORY / ".cache" / "arm64-root"


def run_script(*arguments, path):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_build_without_qemu_exits_3_and_names_the_package(tmp_path):
    done = run_script(tmp_path / "root", path=tmp_path)
    assert done.returncode == 3
    assert done.stderr == (
        "build_root: error: qemu-aarch64-static is not installed; install it with: apt-get install qemu-user-static\n"
    )
    assert not (tmp_path / "root").exists()


def test_build_without_apt_exits_3_and_names_the_package(tmp_path):
    qemu = tmp_path / "qemu-aarch64"
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    done = run_script(tmp_path / "root", path=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "build_root: error: apt-get is not installed; it comes with Debian's package apt\n"


def test_build_leaves_a_folder_alone_that_is_no_root(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run_script(tmp_path, path=os.environ["PATH"])
    assert done.returncode == 1
    assert done.stderr.endswith("exists and is no arm64 root; choose another folder or remove it first\n")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_failed_build_leaves_the_former_root_and_nothing_else(tmp_path):
    tools, root = tmp_path / "tools", tmp_path / "root"
    tools.mkdir()
    root.mkdir()
    (root / "fer-edge-root.json").write_text("an older stamp")
    # apt finds one package, which dpkg-deb then cannot unpack.
    fakes = {
        "qemu-aarch64": "",
        "apt-get": f"case $* in *--print-uris*) echo \"'uri' one_1_arm64.deb 9 MD5\";; "
        f"*--download-only*) {shutil.which('touch')} ${{APT_CONFIG%/*}}/archives/one_1_arm64.deb;; esac",
        "dpkg-deb": "echo 'one_1_arm64.deb is no archive' >&2; exit 2",
    }
    for name, body in fakes.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    done = run_script(root, "--requirements", "numpy", path=tools)
    assert done.returncode == 1
    assert done.stderr.endswith("ended with status 2: one_1_arm64.deb is no archive\n")
    assert [path.name for path in root.iterdir()] == ["fer-edge-root.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "tools"]


def test_pins_are_the_installed_versions_with_their_dependencies():
    import cv2
    import numpy as np

    pins = dict(pin.split("==") for pin in build_root.pinned_versions(["opencv-python-headless"]))
    assert pins.keys() == {"numpy", "opencv-python-headless"}
    assert pins["numpy"] == np.__version__
    assert pins["opencv-python-headless"].startswith(cv2.__version__)


def test_distribution_that_is_not_installed_is_named():
    with pytest.raises(EmulationError, match=r"no-such-distribution is not installed in .*pip install it first"):
        build_root.pinned_versions(["numpy", "no-such-distribution"])


def test_views_are_links_that_survive_a_move(tmp_path):
    (tmp_path / "partial" / "usr").mkdir(parents=True)
    (tmp_path / "partial" / "usr" / "marker").write_text("here")
    write_views(tmp_path / "partial")
    root = (tmp_path / "partial").rename(tmp_path / "root")
    for name in PROCESSORS:
        assert (root / "processors" / name / "usr" / "marker").read_text() == "here"
        assert not (root / "processors" / name / "usr").readlink().is_absolute()


@pytest.mark.parametrize(("name", "register"), [("cortex-a72", 0x410FD083), ("cortex-a76", 0x414FD0B1)])
def test_identification_register_is_the_one_the_core_has(tmp_path, name, register):
    # The values that the kernel logs when it boots on these boards ("Booting Linux on physical CPU … [0x…]").
    write_views(tmp_path)
    file = tmp_path / "processors" / name / "sys/devices/system/cpu/cpu0/regs/identification/midr_el1"
    assert file.read_text() == f"0x00000000{register:08x}\n"


def test_cpuinfo_is_written_as_the_kernel_writes_it():
    processor = Processor(board="none", part=0xD0B, variant=4, revision=1, features="fp asimd")
    first, *others, last = processor.cpuinfo().split("\n\n")
    assert (len(others), last) == (3, "")
    assert first.splitlines() == [
        "processor\t: 0",
        "Features\t: fp asimd",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x4",
        "CPU part\t: 0xd0b",
        "CPU revision\t: 1",
    ]
