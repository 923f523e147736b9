"""The papers' claims as data: claims.toml, read strictly."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, MissingExtraError
from fer_edge.typed_json import from_json_types
from fer_edge_bench.claims_figures import BENCH_FIGURES, NETWORK_FIGURES, TRAINING_FIGURES

__all__ = ["DIRECTIONS", "KINDS", "Claim", "ClaimSet", "Network", "Paper", "read_claims"]

KINDS = ("bench", "training", "network", "accuracy", "not checkable")
DIRECTIONS = ("at most", "at least", "about", "above")
_FIGURES: Mapping[str, Mapping[str, Any]] = {
    "bench": BENCH_FIGURES,
    "training": TRAINING_FIGURES,
    "network": NETWORK_FIGURES,
}
_CLAIMS = Path(__file__).with_name("claims.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A paper, named as its own text names it; `year` is None where the text has none."""

    title: str
    authors: str
    year: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of the zoo: its name in the papers, and the parameters by which it is known; None for any number."""

    title: str
    parameters: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One figure of a paper.

    Attributes:
        id: unique, e.g. "b-memory".
        paper: key of the paper.
        where: table, figure or section.
        what: it is a figure of, in plain words.
        value: as stated.
        unit: of the value; empty for a number of things.
        direction: of DIRECTIONS: what the measured figure should be.
        tolerance: that "at most", "at least" and "about" allow, in the claim's unit.
        kind: of KINDS: how it is checked.
        network: whose figure it is, a name of the zoo; None where it is not checkable.
        compare: whether other networks' figures are put beside it.
        field: of "bench", "training" and "network": the figure's name in `claims_figures`.
        divisor: what that figure is divided by to be in the claim's unit.
        data, part: of "accuracy": title of the data set, what follows a comma left out, and the part of it.
        label: of "accuracy": the class whose recall it is; None for top-1.
        input_px: of "accuracy": side of the network's input, where the claim is of one in particular.
        reason: of "not checkable": why.
        note: how the figure was read, or what else to know.
    """

    id: str
    paper: str
    where: str
    what: str
    value: float
    unit: str
    direction: str
    kind: str
    tolerance: float = 0.0
    network: str | None = None
    compare: bool = False
    field: str | None = None
    divisor: float = 1.0
    data: str | None = None
    part: str | None = None
    label: str | None = None
    input_px: int | None = None
    reason: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("direction", DIRECTIONS)):
            found = getattr(self, name)
            if found not in known:
                raise ValueError(f"{name}: expected {', '.join(known)}, found {found[:40]!r}")
        if self.divisor <= 0 or self.tolerance < 0 or not math.isfinite(self.divisor):
            raise ValueError("expected a divisor above 0 and a tolerance of 0 or more")
        needed, allowed = _keys_of(self.kind)
        for name in (*needed, *(("network",) if self.kind != "not checkable" else ())):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: a claim of the kind {self.kind!r} needs it")
        for name in ("field", "data", "part", "label", "input_px", "reason"):
            if name not in (*needed, *allowed) and getattr(self, name) is not None:
                raise ValueError(f"{name}: a claim of the kind {self.kind!r} has none")
        figures = _FIGURES.get(self.kind, {})
        if self.field is not None and self.field not in figures:
            raise ValueError(f"field: {_hint(self.field, figures)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSet:
    """All claims, and the papers and networks that they name, by key."""

    papers: Mapping[str, Paper]
    networks: Mapping[str, Network]
    claims: tuple[Claim, ...]

    def __post_init__(self) -> None:
        ids: set[str] = set()
        for claim in self.claims:
            if claim.id in ids:
                raise ValueError(f"two claims have the id {claim.id!r}")
            ids.add(claim.id)
            if claim.paper not in self.papers:
                raise ValueError(f"claim {claim.id}, paper: {_hint(claim.paper, self.papers)}")
            if claim.network is not None and claim.network not in self.networks:
                raise ValueError(f"claim {claim.id}, network: {_hint(claim.network, self.networks)}")


def read_claims(path: Path = _CLAIMS) -> ClaimSet:
    """Read claims; without a path those of the four papers, which are installed with fer-edge.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown, of another type or without sense.
        MissingExtraError: Python is older than 3.11 and tomli is not installed.
    """
    try:
        content = _parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; expected claims as TOML") from error
    where = path.name
    unknown = [key for key in content if key not in ("papers", "networks", "groups")]
    if unknown:
        raise InputError(f"{where}: unknown key; {_hint(unknown[0], ('papers', 'networks', 'groups'))}")
    try:
        return ClaimSet(
            papers=_by_key(Paper, content.get("papers", {}), f"{where}, papers"),
            networks=_by_key(Network, content.get("networks", {}), f"{where}, networks"),
            claims=tuple(_claims(content.get("groups", []), where)),
        )
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _claims(groups: Any, where: str) -> Iterator[Claim]:
    if not isinstance(groups, list):
        raise InputError(f"{where}, groups: expected tables [[groups]], found {type(groups).__name__}")
    for number, group in enumerate(groups):
        items = group.get("claims") if isinstance(group, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InputError(f"{where}, groups[{number}]: expected a list of claims, found none")
        shared = {key: value for key, value in group.items() if key != "claims"}
        for position, item in enumerate(items):
            name = str(item.get("id", f"groups[{number}], claims[{position}]"))[:60]
            yield _made(Claim, {**shared, **item}, f"{where}, {name}")


def _by_key(kind: Any, tables: Any, where: str) -> dict[str, Any]:
    if not isinstance(tables, dict):
        raise InputError(f"{where}: expected tables, found {type(tables).__name__}")
    return {key: _made(kind, table, f"{where}, {key}") for key, table in tables.items()}


def _made(kind: Any, table: Any, where: str) -> Any:
    """Make a dataclass; what the table leaves out has the field's default."""
    defaults = {item.name: item.default for item in dataclasses.fields(kind) if item.default is not dataclasses.MISSING}
    return from_json_types(kind, {**defaults, **table} if isinstance(table, dict) else table, where)


def _keys_of(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the keys that a kind of claim needs besides those of all claims, and those that it may have."""
    if kind == "accuracy":
        return ("data", "part"), ("label", "input_px")
    return (("reason",) if kind == "not checkable" else ("field",)), ()


def _hint(found: str, known: Any) -> str:
    near = difflib.get_close_matches(found, list(known), n=1)
    return f"found {found[:60]!r}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")


def _parse_toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise MissingExtraError(
                f"reading claims needs tomli on Python {sys.version_info[0]}.{sys.version_info[1]}; "
                'pip install "fer-edge[bench]"'
            ) from error
    return tomllib.loads(text)
