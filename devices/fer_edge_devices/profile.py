"""What to expect of a board and what to start with on it: profiles/*.toml, read strictly.

The facts of a profile come from the maker's documents, which it names. Its settings are starting points and no
measurements: `fer-edge tune` and `fer-edge bench` measure.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.engines import ENGINE_NAMES
from fer_edge.errors import InputError, MissingExtraError
from fer_edge.typed_json import from_json_types
from fer_edge_devices.board import GENERIC, SLUGS, Board

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = [
    "SENSOR_KINDS",
    "CameraSettings",
    "Hardware",
    "Profile",
    "RunSettings",
    "ServiceSettings",
    "parse_profile",
    "profile_for",
    "profile_slugs",
    "read_profile",
    "read_profiles",
    "recommended_run_options",
]

SENSOR_KINDS = ("temperature", "clock", "throttling", "power")
_FOLDER = "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the maker states.

    Attributes:
        cores: of the processor.
        core: their design, as `fer_edge_devices.processor` names it.
        memory_mb: the sizes the board is sold with, ascending.
        gpu: one that ONNX Runtime can be built for; None where there is none.
        throttle_c: where the board begins to slow down; None where its kernel tells (trip points).
    """

    cores: int
    core: str
    memory_mb: tuple[int, ...]
    gpu: str | None = None
    throttle_c: float | None = None

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ValueError(f"cores: expected 1 or more, found {self.cores}")
        if not self.memory_mb or min(self.memory_mb) < 1 or list(self.memory_mb) != sorted(set(self.memory_mb)):
            raise ValueError(f"memory_mb: expected ascending sizes, found {list(self.memory_mb)}")
        if self.throttle_c is not None and not 0 < self.throttle_c < 150:
            raise ValueError(f"throttle_c: expected 0 to 150 degrees Celsius, found {self.throttle_c:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """What to ask a camera for: width and height in pixels, and frames per second."""

    size_wh: tuple[int, int]
    fps: float

    def __post_init__(self) -> None:
        if min(self.size_wh) < 1:
            raise ValueError(f"size_wh: expected 1 or more, found {list(self.size_wh)}")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps: expected above 0 and at most 1000, found {self.fps:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What `fer-edge run` should start with.

    Attributes:
        engines: in the order to try them in, of those that run on the processor: one on a GPU has to be named, or found
            by `fer-edge tune`.
        threads: that an engine may use.
        min_face_px: smallest face looked for.
        detect_every: of a video, frames from one detection to the next at most; between, faces are followed.
    """

    engines: tuple[str, ...]
    threads: int
    min_face_px: float
    detect_every: int

    def __post_init__(self) -> None:
        if not self.engines or len(set(self.engines)) != len(self.engines):
            raise ValueError(f"engines: expected one or more, none twice, found {list(self.engines)}")
        unknown = [name for name in self.engines if name not in ENGINE_NAMES]
        if unknown:
            raise ValueError(f"engines: expected {', '.join(ENGINE_NAMES)}, found {unknown[0][:60]!r}")
        for name in ("threads", "detect_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        # The side of P-Net's window: it cannot find a smaller face.
        if self.min_face_px < 12:
            raise ValueError(f"min_face_px: expected 12 or more, found {self.min_face_px:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Limits of a service: the memory above which the system may end it."""

    memory_max_mb: int

    def __post_init__(self) -> None:
        if self.memory_max_mb < 1:
            raise ValueError(f"memory_max_mb: expected 1 or more, found {self.memory_max_mb}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A board's profile.

    Attributes:
        slug: the board's, of `fer_edge_devices.board.SLUGS`.
        title: for people.
        hardware: None in the generic profile.
        sensors: of SENSOR_KINDS, those that the board has.
        camera, run, service: starting points.
    """

    slug: str
    title: str
    sensors: tuple[str, ...]
    camera: CameraSettings
    run: RunSettings
    service: ServiceSettings
    hardware: Hardware | None = None

    def __post_init__(self) -> None:
        if self.slug not in SLUGS:
            raise ValueError(f"slug: expected one of {', '.join(SLUGS)}, found {self.slug[:60]!r}")
        unknown = [name for name in self.sensors if name not in SENSOR_KINDS]
        if unknown:
            raise ValueError(f"sensors: expected {', '.join(SENSOR_KINDS)}, found {unknown[0][:60]!r}")


def profile_for(board: Board) -> Profile:
    """Return a board's profile; the generic one where it has none of its own.

    Raises:
        MissingExtraError: Python is older than 3.11 and tomli is not installed.
    """
    return read_profile(board.slug if board.slug in profile_slugs() else GENERIC)


def read_profiles() -> dict[str, Profile]:
    """Return the profiles that are installed with fer-edge, by slug.

    Raises:
        MissingExtraError: Python is older than 3.11 and tomli is not installed.
    """
    return {slug: read_profile(slug) for slug in profile_slugs()}


@cache
def profile_slugs() -> tuple[str, ...]:
    """Return the slugs of the profiles that are installed with fer-edge, sorted."""
    return tuple(sorted(item.name.removesuffix(".toml") for item in _folder().iterdir() if item.name.endswith(".toml")))


@cache
def read_profile(slug: str) -> Profile:
    """Return the profile of a slug, one of `profile_slugs`.

    Raises:
        MissingExtraError: Python is older than 3.11 and tomli is not installed.
    """
    name = f"{slug}.toml"
    return parse_profile((_folder() / name).read_text(encoding="utf-8"), name)


def parse_profile(text: str, where: str) -> Profile:
    """Read a profile's TOML; `where` is what an error calls it.

    Raises:
        InputError: it is no TOML, or a key is missing, unknown, of another type or without sense.
        MissingExtraError: Python is older than 3.11 and tomli is not installed.
    """
    try:
        content = _parse_toml(text)
    except ValueError as error:
        raise InputError(f"{where}: expected a profile as TOML, found other text ({error})") from error
    profile: Profile = from_json_types(Profile, _with_defaults(Profile, content), where)
    if Path(where).stem != profile.slug:
        raise InputError(f"{where}: expected the slug {Path(where).stem!r}, found {profile.slug!r}")
    return profile


def recommended_run_options(
    profile: Profile, usable_engines: Iterable[str], *, tuned: bool = False, camera: bool = False
) -> dict[str, str | int | float]:
    """Return options of `fer-edge run` to start with, by their names without the dashes, such as "min-face".

    Args:
        profile: of the board.
        usable_engines: names of the engines that work here; the first of the profile's that is among them is taken.
        tuned: `fer-edge tune` has chosen engine and threads here; naming either would put that aside, so they are left
            out.
        camera: whether the source is a camera, which alone can be asked for a size and a rate.
    """
    usable = set(usable_engines)
    engine = next((name for name in profile.run.engines if name in usable), None)
    options: dict[str, str | int | float] = {}
    if camera:
        width, height = profile.camera.size_wh
        options |= {"size": f"{width}x{height}", "fps": profile.camera.fps}
    if engine is not None and not tuned:
        options["engine"] = engine
    if not tuned:
        options["threads"] = profile.run.threads
    options["min-face"] = profile.run.min_face_px
    options["detect-every"] = profile.run.detect_every
    return options


def _folder() -> Traversable:
    return importlib.resources.files("fer_edge_devices") / _FOLDER


def _with_defaults(kind: Any, table: Any) -> Any:
    """Add the defaults of what a table leaves out; one that is itself a table is completed too."""
    if not isinstance(table, dict):
        return table
    complete = dict(table)
    for item in dataclasses.fields(kind):
        if item.default is not dataclasses.MISSING:
            complete.setdefault(item.name, item.default)
    if isinstance(complete.get("hardware"), dict):
        complete["hardware"] = _with_defaults(Hardware, complete["hardware"])
    return complete


def _parse_toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise MissingExtraError(
                f"device profiles need tomli on Python {sys.version_info[0]}.{sys.version_info[1]} ({error}); "
                "pip install tomli"
            ) from error
    return tomllib.loads(text)
