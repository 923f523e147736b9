"""The steps of a deployment, in their order, and its three companions: status, return, uninstall."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fer_edge.bundle import Bundle
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.errors import MissingExtraError, OutputError, UsageError
from fer_edge.files import sha256_hex, sha256_of_file
from fer_edge_devices.deploy.connection import Connection, Target, printable
from fer_edge_devices.deploy.environment import EnvironmentPlan

__all__ = ["DEFAULT_ROOT", "Deployment", "deploy", "device_status", "roll_back", "uninstall"]

DEFAULT_ROOT = "~/.local/share/fer-edge"
_CHUNK_BYTES = 1 << 20
# The extra `device` unpacked, as tests/test_packaging.py bounds it, with room for pip's work.
_ENVIRONMENT_BYTES = 500_000_000
_MARGIN_BYTES = 20_000_000

Report = dict[str, Any]
Tell = Callable[[str], None]


def _tell(step: str) -> None:
    sys.stderr.write(f"{step}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What to bring to a device.

    Attributes:
        bundle: it is verified here before anything is copied.
        environment: what to make there, or the absolute path of an environment that is there already.
        root: folder on the device, absolute or beginning with "~/".
        keep: releases to keep beside the current one; the previous one always stays.
    """

    bundle: Bundle
    environment: EnvironmentPlan | str
    root: str = DEFAULT_ROOT
    keep: int = 2

    def __post_init__(self) -> None:
        if isinstance(self.environment, str):
            _check_path("--environment", self.environment)
            if not self.environment.startswith("/"):
                raise UsageError(f"--environment: expected an absolute path on the device, found {self.environment!r}")
        if self.keep < 1:
            raise UsageError(f"--keep: expected 1 or more, found {self.keep}")


def deploy(target: Target, deployment: Deployment, *, tell: Tell = _tell) -> Report:
    """Bring a bundle and its environment to a device, test them there, and make them the current ones.

    Returns what `fer-edge deploy --json` prints, `fer-edge/deployment/1`.

    Raises:
        FerEdgeError: IntegrityError where a file or the self-test's outputs are others than they should be; whatever
            is raised, the device's `current` is what it was before, or was tested.
    """
    bundle, plan = deployment.bundle, deployment.environment
    if bundle.manifest.golden is None:
        raise UsageError(f"{bundle.path} has no golden vectors, which the self-test needs; make it again")
    bundle.verify()
    contents = {MANIFEST_NAME: bundle.manifest_bytes}
    contents |= {entry.file: bundle.read(entry) for entry in bundle.manifest.files()}
    digests = {name: sha256_hex(data) for name, data in contents.items()}
    sha256 = digests[MANIFEST_NAME]
    requirement, wheels = (None, ()) if isinstance(plan, str) else (_made_with(plan), plan.files())
    with _connected(target, deployment.root, tell) as (connection, device):
        environment = plan if isinstance(plan, str) else plan.digest(device["python"])
        _check_device(device, target, needs_venv=not isinstance(plan, str))
        connection.ask("begin")
        # Again, as another deployment may have ended before this one held the lock.
        device = connection.ask("look", root=deployment.root)
        made = isinstance(plan, str) or connection.ask("has_environment", digest=environment)["whole"]
        missing = connection.ask("has_bundle", sha256=sha256, files=digests)["missing"]
        needed = _MARGIN_BYTES + (sum(map(len, contents.values())) if missing else 0)
        if not made and not isinstance(plan, str):
            needed += _ENVIRONMENT_BYTES + sum(path.stat().st_size for path in wheels)
        if device["free_bytes"] < needed:
            raise OutputError(
                f"{target.destination}: expected {needed / 1e6:.0f} MB free at {device['root']}, "
                f"found {device['free_bytes'] / 1e6:.0f} MB; make room, or choose another --root"
            )
        if not made and not isinstance(plan, str):
            _make_environment(connection, plan, environment, tell)
        if missing:
            tell(f"copying {bundle.manifest.name} {bundle.manifest.version}, {len(contents)} files")
            for name, data in contents.items():
                connection.ask(
                    "put", area="bundle", name=name, n_bytes=len(data), sha256=digests[name], contents=[data]
                )
        release = {
            "bundle_sha256": sha256,
            "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
            "environment": environment,
            "requirement": requirement,
            "deployed_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        current = device["current"]
        is_current = current is not None and (current["bundle_sha256"], current["environment"]) == (sha256, environment)
        changed = bool(missing) or not made or not is_current
        if changed:
            tell("testing it: digests and golden vectors")
            tested = connection.ask("self_test", environment=environment, sha256=sha256)
        if missing:
            connection.ask("keep_bundle", sha256=sha256)
        if is_current:
            tell("it is the current one; testing it")
            tested = connection.ask("test_current")
        else:
            tell("making it the current one, and testing it there")
            tested = connection.ask("activate", release=release)
        connection.ask("prune", keep=deployment.keep)
        found = connection.ask("look", root=deployment.root)
    return {**_report(target, found), "changed": changed, "self_test": tested["outcomes"]}


def device_status(target: Target, *, root: str = DEFAULT_ROOT) -> Report:
    """Say what is deployed on a device, as `deploy` does; change nothing."""
    with _connected(target, root, lambda _: None) as (_, device):
        return _report(target, device)


def roll_back(target: Target, *, root: str = DEFAULT_ROOT, tell: Tell = _tell) -> Report:
    """Test the previous release and exchange it with the current one; return what `device_status` does.

    Raises:
        UsageError: there is none.
        FerEdgeError: its self-test failed; `current` is what it was before.
    """
    with _connected(target, root, tell) as (connection, device):
        _check_deployed(target, device)
        connection.ask("begin")
        tell("testing the previous release, then making it the current one")
        connection.ask("roll_back")
        return _report(target, connection.ask("look", root=root))


def uninstall(target: Target, *, root: str = DEFAULT_ROOT, tell: Tell = _tell) -> Report:
    """Remove what deployments made on a device; return the lists `removed` and `left`, paths on the device."""
    with _connected(target, root, tell) as (connection, device):
        _check_deployed(target, device)
        connection.ask("begin")
        tell(f"removing what was deployed to {device['root']}")
        found = connection.ask("uninstall")
    return {"schema": "fer-edge/uninstall/1", "device": target.destination, "root": device["root"], **found}


@contextmanager
def _connected(target: Target, root: str, tell: Tell) -> Iterator[tuple[Connection, Report]]:
    """Connect and look; give the connection and what the device is."""
    _check_path("--root", root)
    if not root.startswith(("/", "~/")) or root.strip("/~") == "":
        raise UsageError(f"--root: expected a folder's absolute path, or one that begins with ~/, found {root!r}")
    if set(root) & set('":$`\\'):
        raise UsageError(
            f"--root: expected a path without \" : $ ` and \\\\, which pip's programs cannot bear, found {root!r}"
        )
    tell(f"connecting to {target.destination}")
    with Connection(target) as connection:
        device = connection.ask("look", root=root)
        free = f"{device['free_bytes'] / 1e9:.1f} GB free"
        tell(f"found {printable(device['machine'])}, Python {printable(device['python'])}, {free}")
        yield connection, device


def _made_with(plan: EnvironmentPlan) -> str:
    own = plan.own_wheel()
    return f"{plan.requirement()} of {own.name}" if own else plan.requirement()


def _check_path(option: str, path: str) -> None:
    if not path.isprintable() or ".." in path.split("/"):
        raise UsageError(f"{option}: expected a plain path on the device, found {path[:80]!r}")


def _check_device(device: Report, target: Target, *, needs_venv: bool) -> None:
    if device["pointer_bits"] != 64:
        raise OutputError(
            f"{target.destination}: expected a 64-bit system, found 32-bit programs on {device['machine']}: no engine "
            "has packages for them; install the system's 64-bit edition"
        )
    if needs_venv and not device["has_venv"]:
        raise MissingExtraError(f"{target.destination}: Python's venv is missing; sudo apt install python3-venv")


def _check_deployed(target: Target, device: Report) -> None:
    if not device["deployed"]:
        raise UsageError(f"{target.destination}: nothing was deployed to {device['root']}; see --root")


def _make_environment(connection: Connection, plan: EnvironmentPlan, digest: str, tell: Tell) -> None:
    for path in plan.files():
        tell(f"copying {path.name}")
        connection.ask(
            "put",
            area="wheels",
            name=path.name,
            n_bytes=path.stat().st_size,
            sha256=sha256_of_file(path),
            contents=_pieces(path),
        )
    own = plan.own_wheel()
    tell(f"making the environment {digest} with {_made_with(plan)}; this takes minutes")
    try:
        connection.ask(
            "make_environment",
            digest=digest,
            requirement=plan.requirement(),
            wheel=own.name if own else None,
            no_index=plan.wheelhouse is not None,
            system_site_packages=plan.system_site_packages,
        )
    except OutputError as error:
        if own is None:
            raise OutputError(f"{error}; where no package index has it, name a --wheel or --wheelhouse") from error
        raise


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            yield data


def _report(target: Target, device: Report) -> Report:
    """Return the public part of what the agent found."""
    keys = ("root", "machine", "python", "free_bytes", "current", "previous", "releases")
    return {"schema": "fer-edge/deployment/1", "device": target.destination, **{key: device[key] for key in keys}}
