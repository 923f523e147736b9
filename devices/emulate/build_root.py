"""Builds a root of Debian's arm64 Python and the aarch64 wheels that a camera would install.

    python devices/emulate/build_root.py [ROOT] [--requirements NAME ...]

Debian's packages come from the machine's own apt sources, through an apt state of their own: its configuration,
package lists and installed packages stay as they are. The wheels have the versions installed beside the Python that
runs this script, so that a comparison differs in architecture alone. Exit codes: 0 built or already up to date,
1 failed, 2 usage, 3 a program of the system is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from aarch64 import (
    STAMP_NAME,
    EmulationError,
    MissingToolError,
    default_root,
    emulated_command,
    emulated_environment,
    is_built,
    qemu_path,
)
from processors import PROCESSORS, write_views

# Python with its standard library; the wheels' C++ runtime. apt adds what these link to.
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
REQUIREMENTS = ("numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime")

# glibc 2.17 (manylinux2014) to 2.28 is what these wheels are built for; Debian 11 already has 2.31.
_WHEEL_PLATFORMS = (*(f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1)), "manylinux2014_aarch64")

# What to import to know that a distribution works; one that is not named here is imported by its own name.
_MODULES = {"opencv-python-headless": "cv2", "ai-edge-litert": "ai_edge_litert.interpreter"}

# apt reads APT_CONFIG, then the machine's configuration, then Dir::Etc::main. Naming this one file as both lets its
# settings come last. The machine's hooks are for its own package lists, an empty status file means that nothing is
# installed, and apt's own user may not be able to enter the folder.
_APT_CONFIG = """\
Dir::Etc::main "{folder}/apt.conf";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
#clear APT::Architectures;
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the root that the command line names and return the exit code."""
    parser = argparse.ArgumentParser(description="Build an arm64 root to run aarch64 wheels in under qemu.")
    parser.add_argument(
        "root", nargs="?", type=Path, help="its folder (default: $FER_EDGE_ARM64_ROOT, else .cache/arm64-root)"
    )
    parser.add_argument(
        "--requirements",
        nargs="+",
        default=REQUIREMENTS,
        metavar="NAME",
        help=f"installed distributions whose aarch64 wheels go into it (default: {' '.join(REQUIREMENTS)})",
    )
    options = parser.parse_args(arguments)
    try:
        build(options.root or default_root(), options.requirements)
    except EmulationError as error:
        _say(f"build_root: error: {error}")
        return error.exit_code
    return 0


def build(root: Path, requirements: Sequence[str] = REQUIREMENTS) -> None:
    """Make `root` an arm64 root with these distributions, unless it is one already.

    It is built beside its place and renamed, so that what stands at `root` is whole.

    Args:
        root: the folder to make; an earlier root there is replaced.
        requirements: names of distributions installed in this environment.

    Raises:
        EmulationError: a step failed, or `root` holds something else than such a root.
        MissingToolError: qemu, apt-get or dpkg-deb is not installed.
    """
    root = root.resolve()
    if root.exists() and not is_built(root) and not (root.is_dir() and not any(root.iterdir())):
        raise EmulationError(f"{root} exists and is no arm64 root; choose another folder or remove it first")
    qemu_path()
    for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is not installed; it comes with Debian's package {package}")
    wheels = pinned_versions(requirements)
    with tempfile.TemporaryDirectory(prefix="fer-edge-apt-") as name:
        apt = _PrivateApt(Path(name))
        stamp = _stamp(apt.resolve(PACKAGES), wheels)
        if is_built(root) and (root / STAMP_NAME).read_text(encoding="utf-8") == stamp:
            _say(f"{root} is up to date")
            return
        partial = root.with_name(f"{root.name}.partial")
        _remove(partial)
        try:
            partial.mkdir(parents=True)
            _unpack(apt.download(PACKAGES), partial)
            _install_wheels(wheels, partial)
            write_views(partial)
            _check_imports(requirements, partial)
            (partial / STAMP_NAME).write_text(stamp, encoding="utf-8")
            _replace(root, partial)
        finally:
            _remove(partial)
    _say(f"built {root}")


def pinned_versions(requirements: Iterable[str]) -> list[str]:
    """Return `name==version`, sorted, of installed distributions and of what they depend on.

    Raises:
        EmulationError: one of `requirements` is not installed.
    """
    pins: dict[str, str] = {}
    waiting = list(requirements)
    for name in waiting:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise EmulationError(
                f"{name} is not installed in {sys.prefix}, whose versions the arm64 root repeats; pip install it first"
            ) from error
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in pins:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            # A dependency whose marker leaves it out here (another system, another Python).
            continue
        pins[name] = distribution.version
        for requirement in distribution.requires or ():
            specification, _, marker = requirement.partition(";")
            matched = re.match(r"[A-Za-z0-9._-]+", specification)
            if matched is not None and not re.search(r"\bextra\b", marker):
                waiting.append(matched.group())
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


class _PrivateApt:
    """apt for arm64, with the machine's sources and keys and a state of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        config = folder / "apt.conf"
        config.write_text(_APT_CONFIG.format(folder=folder), encoding="utf-8")
        self._archives = folder / "archives"
        self._environment = os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}

    def resolve(self, packages: Sequence[str]) -> list[str]:
        """Return the file names (name, version, architecture) of the packages and all that they depend on."""
        _say("reading Debian's package lists for arm64")
        _call(["apt-get", "-qq", "update"], self._environment)
        listing = _call(["apt-get", "-qq", "--print-uris", "install", *packages], self._environment)
        return sorted(line.split()[1] for line in listing.splitlines() if line.startswith("'"))

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Fetch the packages and all that they depend on; apt checks signatures and digests."""
        _say("downloading Debian's packages")
        _call(["apt-get", "-qq", "--yes", "--download-only", "install", *packages], self._environment)
        return sorted(self._archives.glob("*.deb"))


def _unpack(debs: Iterable[Path], root: Path) -> None:
    for deb in debs:
        _call(["dpkg-deb", "--extract", str(deb), str(root)])
    # Newer releases ship everything below usr and leave these links to a package that is not needed here.
    for name in ("bin", "lib", "sbin"):
        if not (root / name).exists():
            (root / name).symlink_to(Path("usr", name))


def _install_wheels(wheels: Sequence[str], root: Path) -> None:
    _say(f"installing {' '.join(wheels)}")
    python = (root / "usr/bin/python3").readlink().name.removeprefix("python")
    platforms = [word for platform in _WHEEL_PLATFORMS for word in ("--platform", platform)]
    target = ["--target", str(root / "opt/site"), "--python-version", python, *platforms]
    rules = ["--only-binary=:all:", "--no-deps", "--no-compile", "--disable-pip-version-check", "--quiet"]
    _call([sys.executable, "-m", "pip", "install", *rules, *target, *wheels])


def _check_imports(requirements: Iterable[str], root: Path) -> None:
    """Import every distribution on every processor; the bytecode this leaves in the root makes later starts fast."""
    _say("importing them under emulation")
    modules = [_MODULES.get(name, name.replace("-", "_")) for name in requirements]
    code = f"import {', '.join(modules)}"
    for processor in PROCESSORS:
        _call(emulated_command(root, ["-c", code], processor=processor), emulated_environment(root))


def _stamp(debs: Sequence[str], wheels: Sequence[str]) -> str:
    """Return a text that is the same exactly when a new build would make the same root."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    recipe = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return json.dumps({"recipe_sha256": recipe, "debian_packages": debs, "wheels": wheels}, indent=2) + "\n"


def _replace(root: Path, new: Path) -> None:
    old = root.with_name(f"{root.name}.old")
    _remove(old)
    if root.exists():
        root.rename(old)
    new.rename(root)
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _call(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Run a program and return its stdout.

    Raises:
        EmulationError: it ended with another status than 0; the message has the last line it wrote.
    """
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        written = (done.stderr.strip() or done.stdout.strip() or "it wrote nothing").splitlines()[-1]
        raise EmulationError(f"{' '.join(command[:3])} … ended with status {done.returncode}: {written}")
    return done.stdout


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
