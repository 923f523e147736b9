"""Writes what a system image needs of fer-edge: wheels, configuration, and the systemd unit made for it.

    python devices/images/prepare.py IMAGE [FOLDER] [--config FILE | --device SLUG] [--python 3.13] [--force]

IMAGE is raspberry-pi-os, buildroot or yocto. Run it with a Python that has fer-edge and pip. The wheel of fer-edge is
made from this repository, those that it needs come from pip's package index. No unit is kept beside the recipes: the
one for a configuration is rendered by the code of `fer-edge service install`, here for Buildroot and Yocto and on the
device for Raspberry Pi OS. Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge._version import __version__
from fer_edge.errors import FerEdgeError, InputError, OutputError, UsageError
from fer_edge.files import check_folder_target, replace_folder
from fer_edge_devices.profile import read_profiles
from fer_edge_devices.service.config import parse_config
from fer_edge_devices.service.template import config_text
from fer_edge_devices.service.unit import Program, unit_text

__all__ = ["CONFIG", "IMAGES", "LITERT", "PROGRAM", "Image", "main", "prepare"]

# The recipes state digests of this version's wheels.
LITERT = "ai-edge-litert==2.3.0"
_ENGINES = ("litert",)
CONFIG = "fer-edge.toml"
# Where the recipes install Python and the configuration.
PROGRAM = Program(python=Path("/usr/bin/python3"), config=Path("/etc/fer-edge", CONFIG))

_HERE = Path(__file__).resolve().parent
_REPOSITORY = _HERE.parents[1]
_LICENCES = ("LICENSE", "NOTICE")
# What LiteRT's, numpy's and OpenCV's wheels are built for: glibc 2.17 to 2.28.
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A kind of system image.

    Attributes:
        folder: where its recipes look for what is written here.
        pythons: versions of Python that its recipes have a wheel of LiteRT for, the one they expect first.
        device: profile whose configuration is written where none is given.
        is_debian: whether it installs with pip and renders its unit itself; else its recipes build numpy and OpenCV,
            and the unit is written here.
    """

    folder: Path
    pythons: tuple[str, ...]
    device: str
    is_debian: bool


IMAGES = {
    "raspberry-pi-os": Image(
        folder=_HERE / "raspberry-pi-os/stage-fer-edge/00-install/files/fer-edge",
        pythons=("3.13", "3.14", "3.12", "3.11"),
        device="raspberry-pi-5",
        is_debian=True,
    ),
    "buildroot": Image(
        folder=_HERE / "buildroot/files",
        pythons=("3.12", "3.13", "3.14", "3.11"),
        device="raspberry-pi-5",
        is_debian=False,
    ),
    "yocto": Image(
        folder=_HERE / "yocto/meta-fer-edge/files", pythons=("3.12",), device="raspberry-pi-5", is_debian=False
    ),
}


def prepare(image: Image, folder: Path, *, config: str, python: str, force: bool) -> None:
    """Write the files of an image, whole or not at all.

    Args:
        image: the kind of image.
        folder: where to; its parent must exist.
        config: text of the configuration.
        python: version of the image's Python.
        force: whether to replace a folder that was written before.

    Raises:
        UsageError: the folder is there without `force`, or the configuration asks for what a unit cannot give.
        InputError: the configuration is wrong.
        FerEdgeError: pip failed.
        OutputError: the folder cannot be written.
    """
    if python not in image.pythons:
        raise UsageError(f"--python: expected one of {', '.join(sorted(image.pythons))} for this image, found {python}")
    unit = unit_text(parse_config(config, CONFIG), PROGRAM)
    check_folder_target(folder, force=force, marker=CONFIG)
    try:
        with tempfile.TemporaryDirectory(prefix=".fer-edge-", dir=folder.parent) as temporary:
            made = Path(temporary, folder.name)
            _fill(made, image, python)
            (made / CONFIG).write_text(config, encoding="utf-8")
            if not image.is_debian:
                (made / "fer-edge.service").write_text(unit, encoding="utf-8")
            replace_folder(made, folder)
    except FerEdgeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


def _fill(made: Path, image: Image, python: str) -> None:
    """Put the files that depend on no configuration into a new folder."""
    wheels = made / "wheels"
    wheels.mkdir(parents=True)
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(_REPOSITORY))
    wheel = wheels / f"fer_edge-{__version__}-py3-none-any.whl"
    rules = ["--only-binary=:all:", "--python-version", python, *[f"--platform={name}" for name in _PLATFORMS]]
    wanted = [f"{wheel}[litert]", LITERT] if image.is_debian else ["--no-deps", LITERT]
    _pip("download", "--dest", str(wheels), *rules, *wanted)
    ours = [_HERE / "raspberry-pi-os/install.sh"] if image.is_debian else [_REPOSITORY / name for name in _LICENCES]
    for path in ours:
        shutil.copy(path, made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files of the image that the command line names and return the exit code."""
    parser = argparse.ArgumentParser(description="Write what a system image needs of fer-edge.")
    parser.add_argument("image", choices=IMAGES)
    parser.add_argument("folder", nargs="?", type=Path, help="where to (where the image's recipes look)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--config", type=Path, metavar="FILE", help="configuration of the service")
    source.add_argument("--device", metavar="SLUG", help="board, for a configuration to begin with (raspberry-pi-5)")
    expected = ", ".join(f"{name} {image.pythons[0]}" for name, image in IMAGES.items())
    parser.add_argument("--python", metavar="VERSION", help=f"of the image's Python ({expected})")
    parser.add_argument("--force", action="store_true", help="replace what was written before")
    options = parser.parse_args(arguments)
    image = IMAGES[options.image]
    python = options.python or image.pythons[0]
    folder = options.folder or image.folder
    try:
        if options.folder is None:
            folder.parent.mkdir(exist_ok=True)
        config = _config(options.config, options.device or image.device)
        prepare(image, folder, config=config, python=python, force=options.force)
    except FerEdgeError as error:
        sys.stderr.write(f"prepare.py: error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{folder}\n")
    return 0


def _config(path: Path | None, device: str) -> str:
    """Return the text of a configuration: a file's, or the one to begin with on a board."""
    if path is not None:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {path}: {error}") from error
    profiles = read_profiles()
    if device not in profiles:
        raise UsageError(f"--device: there is no profile {device!r}; known: {', '.join(profiles)}")
    return config_text(profiles[device], _ENGINES, spec="0")


def _pip(*words: str) -> None:
    """Run pip.

    Raises:
        FerEdgeError: it failed; the message has the last line it wrote.
    """
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "it wrote nothing").splitlines()
        raise FerEdgeError(f"pip {words[0]} ended with status {done.returncode}: {lines[-1]}")


if __name__ == "__main__":
    sys.exit(main())
