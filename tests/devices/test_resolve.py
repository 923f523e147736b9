"""What a board's pip would install: wheels for aarch64 alone, that its Python takes and its glibc runs.

pip chooses for another system with `--platform` and `--python-version`, but reads the markers of requirements with its
own Python and machine (pypa/pip#11664). So what it chose is followed here with the board's markers, and what is missing
then is asked for.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

REPOSITORY = Path(__file__).resolve().parents[2]
# What each extra that runs on a device brings. All at once: engines may stand side by side.
BROUGHT = {
    "litert": "ai-edge-litert",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "mqtt": "paho-mqtt",
    "bench": "rich",
    "parquet": "pyarrow",
}
EXTRAS = tuple(BROUGHT)
# glibc that manylinux2014, the oldest with aarch64, stands for (PEP 599).
OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True, kw_only=True)
class System:
    """A board's system: its Python, its glibc 2.`glibc_minor`, and the extras that it can have."""

    python: tuple[int, int]
    glibc_minor: int
    extras: tuple[str, ...] = EXTRAS

    @property
    def platforms(self):
        """The names of wheels' platforms that it runs, its own first."""
        minors = range(self.glibc_minor, OLDEST_GLIBC_MINOR - 1, -1)
        return [*(f"manylinux_2_{minor}_aarch64" for minor in minors), "manylinux2014_aarch64"]

    @property
    def tags(self):
        """The tags of wheels that it takes."""
        return {
            *cpython_tags(self.python, platforms=self.platforms),
            *compatible_tags(self.python, f"cp{self.python[0]}{self.python[1]}", self.platforms),
        }

    @property
    def markers(self):
        """What the markers of requirements are read with (PEP 508)."""
        version = f"{self.python[0]}.{self.python[1]}"
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "os_name": "posix",
            "platform_machine": "aarch64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": "linux",
        }


# Python and glibc: of Ubuntu 22.04, and of Debian 12 and 13, whose releases Raspberry Pi OS has the names of.
SYSTEMS = {
    "JetPack 6": System(python=(3, 10), glibc_minor=35),
    "Raspberry Pi OS bookworm": System(python=(3, 11), glibc_minor=36),
    "Raspberry Pi OS trixie": System(python=(3, 13), glibc_minor=41),
    # Ubuntu 18.04, whose own Python is 3.6: one that was built there. OpenVINO needs glibc 2.35.
    "JetPack 4 and a Python of one's own": System(
        python=(3, 10), glibc_minor=27, extras=("litert", "onnx", "mqtt", "bench")
    ),
}


def glibc_floor(wheel_name):
    """The least minor version of glibc that a wheel runs with; None where it has no machine code."""
    minors = []
    for tag in parse_wheel_filename(wheel_name)[3]:
        if tag.platform == "any":
            return None
        found = re.fullmatch(r"manylinux_2_(\d+)_aarch64", tag.platform)
        assert found or tag.platform == "manylinux2014_aarch64", wheel_name
        minors.append(int(found[1]) if found else OLDEST_GLIBC_MINOR)
    return min(minors)


def needed(chosen, name, extras, markers):
    """The distributions that one needs, itself included, and the requirements that none of those chosen fulfils.

    `chosen` has the versions and requirements by canonical name.
    """
    reached, missing, waiting = set(), [], [(canonicalize_name(name), frozenset(extras))]
    for name, wanted in waiting:
        reached.add(name)
        for text in chosen[name]["requires_dist"]:
            requirement = Requirement(text)
            if requirement.marker and not any(
                requirement.marker.evaluate(markers | {"extra": extra}) for extra in wanted or {""}
            ):
                continue
            key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if key[0] not in chosen or not requirement.specifier.contains(chosen[key[0]]["version"], prereleases=True):
                missing.append(f"{requirement.name}{requirement.specifier}")
            elif key not in waiting:
                waiting.append(key)
    return reached, missing


def run_pip(*words):
    return subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words), "--disable-pip-version-check", "--quiet"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def resolve(system, requirements, folder):
    """What pip would install there: name, version, requirements and the wheel's file name, by canonical name."""
    version = f"{system.python[0]}.{system.python[1]}"
    platforms = [word for platform in system.platforms for word in ("--platform", platform)]
    abis = ("--abi", f"cp{system.python[0]}{system.python[1]}", "--abi", "abi3", "--abi", "none")
    done = run_pip(
        *("install", "--dry-run", "--ignore-installed", "--only-binary=:all:", "--target", folder / "none"),
        *("--implementation", "cp", "--python-version", version, *abis, *platforms),
        *("--report", folder / "report.json", *requirements),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {
        canonicalize_name(item["metadata"]["name"]): {
            "version": item["metadata"]["version"],
            "requires_dist": item["metadata"].get("requires_dist", []),
            "file": item["download_info"]["url"].rpartition("/")[2],
        }
        for item in report["install"]
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """fer-edge's own wheel; skips where no index answers for a small package."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'fer-edge[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    probed = run_pip("download", "--no-deps", "-d", folder / "probe", "tomli")
    if probed.returncode != 0:
        pytest.skip(f"no package index can be reached: {probed.stderr.strip().splitlines()[-1]}")
    built = run_pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_everything_for_a_device_has_wheels_there(wheel, tmp_path, name):
    system = SYSTEMS[name]
    requirements = [f"{wheel}[{','.join(system.extras)}]"]
    chosen = resolve(system, requirements, tmp_path)
    reached, missing = needed(chosen, "fer-edge", system.extras, system.markers)
    while missing:
        assert not set(missing) & set(requirements), f"pip does not choose {missing}"
        requirements += missing
        chosen = resolve(system, requirements, tmp_path)
        reached, missing = needed(chosen, "fer-edge", system.extras, system.markers)
    assert reached >= {"fer-edge", "numpy", "opencv-python-headless"}
    assert reached >= {BROUGHT[extra] for extra in system.extras}
    assert ("tomli" in reached) == (system.python < (3, 11))
    for key in sorted(reached):
        file = chosen[key]["file"]
        assert file.endswith(".whl"), file
        assert parse_wheel_filename(file)[3] & system.tags, f"{name} does not take {file}"
        assert (glibc_floor(file) or 0) <= system.glibc_minor, f"{name} has glibc 2.{system.glibc_minor}: {file}"


@pytest.mark.parametrize(
    ("file", "floor", "takes"),
    [
        pytest.param("a-1-py3-none-any.whl", None, [10, 11, 13], id="no machine code"),
        pytest.param("a-1-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", 17, [11], id="one Python"),
        pytest.param("a-1-cp310-abi3-manylinux2014_aarch64.whl", 17, [10, 11, 13], id="the stable interface"),
        pytest.param("a-1-cp311-abi3-manylinux_2_28_aarch64.whl", 28, [11, 13], id="the stable one from 3.11 on"),
        pytest.param("a-1-cp313-cp313-manylinux_2_39_aarch64.whl", 39, [13], id="a new glibc"),
        pytest.param("a-1-cp310-cp310-manylinux_2_36_aarch64.whl", 36, [], id="newer than the Python's system"),
        pytest.param("a-1-cp313-cp313t-manylinux_2_28_aarch64.whl", 28, [], id="without the lock"),
    ],
)
def test_which_systems_take_a_wheel(file, floor, takes):
    assert glibc_floor(file) == floor
    tags = parse_wheel_filename(file)[3]
    assert [system.python[1] for system in list(SYSTEMS.values())[:3] if tags & system.tags] == takes


@pytest.mark.parametrize("platform", ["manylinux_2_17_x86_64", "linux_armv7l", "musllinux_1_2_aarch64", "win_arm64"])
def test_a_wheel_of_another_machine_is_refused(platform):
    file = f"a-1-cp311-cp311-{platform}.whl"
    assert not any(parse_wheel_filename(file)[3] & system.tags for system in SYSTEMS.values())
    with pytest.raises(AssertionError):
        glibc_floor(file)


def test_what_pip_left_out_is_noticed():
    """tomli is for Python 3.10 alone, and only one engine was asked for."""
    chosen = {
        "fer-edge": {
            "version": "1",
            "requires_dist": [
                "Needed>=2",
                "tomli>=2; python_version < '3.11'",
                "other; extra == 'other'",
                "engine[fast]; extra == 'engine'",
                "arm-only; extra == 'engine' and platform_machine == 'aarch64'",
            ],
        },
        "needed": {"version": "1", "requires_dist": []},
        "engine": {"version": "3", "requires_dist": ["speed; extra == 'fast'"]},
        "unneeded": {"version": "1", "requires_dist": ["absent"]},
    }
    found = {name: needed(chosen, "fer-edge", ["engine"], system.markers) for name, system in SYSTEMS.items()}
    missing = ["Needed>=2", "arm-only", "speed"]
    assert found["Raspberry Pi OS bookworm"] == ({"fer-edge", "engine"}, missing)
    assert found["JetPack 6"] == ({"fer-edge", "engine"}, ["Needed>=2", "tomli>=2", "arm-only", "speed"])


def test_the_extras_are_fer_edges():
    declared = importlib.metadata.metadata("fer-edge").get_all("Provides-Extra")
    assert set(EXTRAS) <= set(declared)
