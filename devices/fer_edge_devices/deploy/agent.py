"""The part of a deployment that runs on the device: it holds the lock and does what it is asked, until its input ends.

`connection.py` sends this file as text to the device's own python3, so it imports the standard library alone. A request
is one line of JSON, followed by a file's bytes where it is `put`; the answer is one line of JSON.

Below the root:

    env-DIGEST/             a virtual environment
    bundles/SHA256/         a bundle, named by its manifest's digest
    releases/NUMBER/        one bundle and one environment, as links, and release.json
    current, previous       links to releases
    tmp/                    what is not whole yet; emptied when the next deployment begins
    fer-edge-deploy.json    says that the folder is a deployment's
    lock                    held while something is changed
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

__all__: list[str] = []

_READY = {"fer-edge-deploy": 1}
_MARKER = "fer-edge-deploy.json"
_LINKS = ("current", "previous")
_CHUNK_BYTES = 1 << 20
_MAX_REQUEST_BYTES = 1 << 20
_MAX_OUTPUT_BYTES = 1 << 20
# An environment is some 100 MB to download and unpack; a slow card and a slow line take minutes.
_INSTALL_S = 3600.0
# All engines on all golden vectors take seconds on a workstation.
_SELF_TEST_S = 900.0


class Refused(Exception):  # noqa: N818 - an answer to the client, which makes an error of it
    """A request cannot be met; `kind` tells the client which error that is."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Agent:
    """What the device was asked to look at, and then to change once it holds the lock."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._root = Path()
        self._lock = -1

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one request, whose key `do` names a method, and return what it found."""
        method = getattr(self, "do_" + request.pop("do"))
        found: dict[str, Any] = method(**request)
        return found

    def do_look(self, root: str) -> dict[str, Any]:
        """Say what the device is and what is deployed below `root`; change nothing."""
        self._root = Path(os.path.realpath(Path(root).expanduser()))
        nearest = next(path for path in (self._root, *self._root.parents) if path.is_dir())
        disk = os.statvfs(nearest)
        return {
            "root": str(self._root),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "pointer_bits": 8 * struct.calcsize("P"),
            "has_venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
            "free_bytes": disk.f_bavail * disk.f_frsize,
            "deployed": (self._root / _MARKER).is_file(),
            "current": self._release("current"),
            "previous": self._release("previous"),
            "releases": [json.loads((path / "release.json").read_bytes()) for path in self._releases()],
        }

    def do_begin(self) -> dict[str, Any]:
        """Take the root and its lock, and remove what an interrupted deployment left."""
        self._root.mkdir(parents=True, exist_ok=True)
        begun = ("lock", f".{_MARKER}.part")
        strangers = sorted(path.name for path in self._root.iterdir() if path.name not in begun)
        if strangers and not (self._root / _MARKER).is_file():
            raise Refused(
                "usage",
                f"{self._root}: expected an empty folder or a deployment's, found {strangers[0]}; choose --root",
            )
        self._take_lock()
        if not (self._root / _MARKER).is_file():
            _write_json(self._root / _MARKER, {"schema": "fer-edge/deploy/1"})
        _remove(self._root / "tmp")
        for path in self._root.glob("env-*"):
            if _is_environment_name(path.name) and not (path / _MARKER).is_file():
                shutil.rmtree(path)
        for name in ("tmp", "tmp/bundle", "tmp/wheels", "bundles", "releases"):
            (self._root / name).mkdir(exist_ok=True)
        return {}

    def do_has_bundle(self, sha256: str, files: dict[str, str]) -> dict[str, Any]:
        """Tell which files of a bundle are missing there, or are others than their digests say."""
        folder = self._bundle(sha256)
        return {"missing": [name for name, digest in files.items() if _digest(folder / name) != digest]}

    def do_put(self, area: str, name: str, n_bytes: int, sha256: str) -> dict[str, Any]:
        """Take the bytes that follow the request for a file below tmp/, and compare what was written."""
        path = self._root / "tmp" / area / name
        left = n_bytes
        try:
            with path.open("wb") as file:
                while left:
                    data = self._stream.read(min(left, _CHUNK_BYTES))
                    if not data:
                        raise SystemExit(1)
                    left -= len(data)
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
                # What is read back then comes from the card and not from memory.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            while left and (data := self._stream.read(min(left, _CHUNK_BYTES))):
                left -= len(data)
        found = _digest(path)
        if found != sha256:
            raise Refused(
                "integrity", f"{path}: expected SHA-256 {sha256[:16]}…, found {str(found)[:16]}… after copying"
            )
        return {}

    def do_has_environment(self, digest: str) -> dict[str, Any]:
        """Tell whether an environment was made to its end."""
        return {"whole": (self._environment(digest) / _MARKER).is_file()}

    def do_make_environment(
        self, digest: str, requirement: str, *, wheel: str | None, no_index: bool, system_site_packages: bool
    ) -> dict[str, Any]:
        """Make a virtual environment and install into it; `wheel`, where it is named, lies in tmp/wheels."""
        path, wheels = self._environment(digest), self._root / "tmp" / "wheels"
        flags = ["--system-site-packages"] if system_site_packages else []
        source = ["--no-index", "--find-links", str(wheels)] if no_index else ["--retries", "2", "--timeout", "30"]
        # As a URL: pip would take a path with a semicolon apart.
        package = f"{requirement} @ {(wheels / wheel).as_uri()}" if wheel else requirement
        # The quiet flags keep pip from asking, and from looking for a newer pip.
        install = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
        try:
            for step, words in (
                ("python3 -m venv", [sys.executable, "-m", "venv", *flags, str(path)]),
                ("pip install", [str(path / "bin" / "python"), *install, "--only-binary=:all:", *source, package]),
            ):
                code, _, told = self._run(words, _INSTALL_S)
                if code != 0:
                    kind = "full" if "No space left on device" in told else "failed"
                    raise Refused(kind, f"{step}: {_reason(code, told)}")
            os.sync()
            _write_json(path / _MARKER, {"requirement": requirement, "wheel": wheel})
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(wheels)
        return {}

    def do_self_test(self, environment: str, sha256: str) -> dict[str, Any]:
        """Verify the bundle's files and golden vectors, in tmp/ where it was just copied, else at its place."""
        copied = self._root / "tmp" / "bundle"
        bundle = copied if any(copied.iterdir()) else self._bundle(sha256)
        return self._self_test(self._environment(environment), bundle)

    def do_test_current(self) -> dict[str, Any]:
        """Run the self-test through the link `current`."""
        return self._self_test(self._root / "current" / "env", self._root / "current" / "bundle")

    def do_keep_bundle(self, sha256: str) -> dict[str, Any]:
        """Put the bundle that was copied in its place.

        Files of a damaged one are replaced one by one: `current` may point there, and each is as it should be after.
        """
        copied, folder = self._root / "tmp" / "bundle", self._bundle(sha256)
        if folder.is_dir():
            for path in copied.iterdir():
                path.replace(folder / path.name)
        else:
            _sync_folder(copied)
            copied.replace(folder)
        _sync_folder(folder)
        _sync_folder(folder.parent)
        return {}

    def do_activate(self, release: dict[str, Any]) -> dict[str, Any]:
        """Make a release, point `current` at it, and test through it; where that fails point it back and say so."""
        number = 1 + max((int(path.name) for path in self._releases()), default=0)
        made = self._root / "tmp" / "release"
        made.mkdir()
        environment = self._environment(release["environment"])
        inside = environment.parent == self._root
        (made / "env").symlink_to(Path("..", "..", environment.name) if inside else environment)
        (made / "bundle").symlink_to(Path("..", "..", "bundles", release["bundle_sha256"]))
        _write_json(made / "release.json", {"number": number, **release})
        _sync_folder(made)
        made.replace(self._root / "releases" / str(number))
        _sync_folder(self._root / "releases")
        try:
            return self._switch_to(f"releases/{number}")
        except Refused:
            self._discard(self._root / "releases" / str(number))
            raise

    def do_roll_back(self) -> dict[str, Any]:
        """Test the previous release and exchange it with the current one."""
        previous, current = self._release("previous"), self._release("current")
        if previous is None or previous == current:
            raise Refused("usage", f"{self._root}: there is no previous release to return to")
        self._self_test(self._root / "previous" / "env", self._root / "previous" / "bundle")
        self._switch_to(f"releases/{previous['number']}")
        return previous

    def do_prune(self, keep: int) -> dict[str, Any]:
        """Remove all but `current`, `previous` and the newest others, `keep` beside `current`; then what none uses."""
        pointed = [str(release["number"]) for name in _LINKS if (release := self._release(name))]
        old = sorted((path.name for path in self._releases()), key=lambda name: (name not in pointed, -int(name)))
        for name in old[max(keep + 1, len(set(pointed))) :]:
            self._discard(self._root / "releases" / name)
        used = {os.path.realpath(path / name) for path in self._releases() for name in ("env", "bundle")}
        for path in (*self._own_environments(), *self._own_bundles()):
            if str(path) not in used:
                self._discard(path)
        return {}

    def do_uninstall(self) -> dict[str, Any]:
        """Remove what deployments made and tell what was removed and what is left."""
        links = [path for name in _LINKS if (path := self._root / name).is_symlink()]
        # The links first: they never point at something half removed.
        made = [*links, *self._releases(), *self._own_bundles(), *self._own_environments()]
        for path in made:
            _remove(path)
        for path in (self._root / "tmp", self._root / _MARKER, self._root / "lock"):
            _remove(path)
        for path in (self._root / "bundles", self._root / "releases", self._root):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        left = sorted(str(path) for path in self._root.rglob("*") if not path.is_dir()) if self._root.is_dir() else []
        return {"removed": [str(path) for path in made], "left": left}

    def _take_lock(self) -> None:
        path = self._root / "lock"
        while self._lock < 0:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused("busy", f"{self._root}: another deployment is running; wait for its end") from None
            # Whoever uninstalled meanwhile has removed the file that this one would hold.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                self._lock = descriptor
            else:
                os.close(descriptor)

    def _switch_to(self, target: str) -> dict[str, Any]:
        before = {name: _link(self._root / name) for name in _LINKS}
        # `previous` first: from the moment `current` is another, the way back is known.
        if before["current"] is not None:
            self._point("previous", before["current"])
        self._point("current", target)
        try:
            return self.do_test_current()
        except Refused as error:
            if before["current"] is None:
                (self._root / "current").unlink()
                raise Refused(
                    error.kind, f"{error}; nothing was deployed before, so there is no current bundle"
                ) from error
            self._point("current", before["current"])
            if before["previous"] is None:
                (self._root / "previous").unlink()
            else:
                self._point("previous", before["previous"])
            raise Refused(error.kind, f"{error}; returned to {before['current']}") from error

    def _point(self, name: str, target: str) -> None:
        made = self._root / "tmp" / name
        # A link's text is resolved from where it lies, which is the root once it is renamed.
        made.symlink_to(target)
        made.replace(self._root / name)
        _sync_folder(self._root)

    def _self_test(self, environment: Path, bundle: Path) -> dict[str, Any]:
        program = environment / "bin" / "fer-edge"
        if not os.access(program, os.X_OK):
            raise Refused("failed", f"{program}: expected the command fer-edge in the environment, found none")
        code, output, told = self._run(
            [str(program), "bundle", "verify", "--golden", "--json", str(bundle)], _SELF_TEST_S
        )
        if code != 0:
            kind = {3: "missing", 4: "integrity"}.get(code, "failed")
            raise Refused(kind, f"the self-test failed: {_reason(code, told)}")
        golden = json.loads(output)["golden"]
        outcomes = [item["outcome"] for item in golden]
        return {"outcomes": {name: outcomes.count(name) for name in sorted(set(outcomes))}}

    def _run(self, words: list[str], limit_s: float) -> tuple[int, str, str]:
        """Run a program; return exit code, standard output and standard error.

        It is ended where it takes too long, or where our own input ends: then the client has gone.
        """
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            if process.stdout is None or process.stderr is None:
                raise RuntimeError("pipes were asked for")
            outputs = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
            open_ones, until = set(outputs), time.monotonic() + limit_s
            try:
                while open_ones:
                    ready = select.select([0, *open_ones], [], [], max(0.0, until - time.monotonic()))[0]
                    if not ready:
                        raise Refused("failed", f"{Path(words[0]).name} took more than {limit_s:g} s and was ended")
                    if 0 in ready:
                        raise SystemExit(1)
                    for descriptor in ready:
                        data = os.read(descriptor, _CHUNK_BYTES)
                        outputs[descriptor] = (outputs[descriptor] + data)[-_MAX_OUTPUT_BYTES:]
                        if not data:
                            open_ones.remove(descriptor)
                code = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            output, told = (text.decode(errors="replace") for text in outputs.values())
            return code, output, told

    def _release(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self._root / name / "release.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def _releases(self) -> list[Path]:
        found = (path for path in (self._root / "releases").glob("*") if re.fullmatch(r"[1-9]\d*", path.name))
        return sorted((path for path in found if (path / "release.json").is_file()), key=lambda path: int(path.name))

    def _own_bundles(self) -> list[Path]:
        return [path for path in (self._root / "bundles").glob("*") if re.fullmatch(r"[0-9a-f]{64}", path.name)]

    def _own_environments(self) -> list[Path]:
        return [path for path in self._root.glob("env-*") if _is_environment_name(path.name)]

    def _bundle(self, sha256: str) -> Path:
        return self._root / "bundles" / sha256

    def _environment(self, name: str) -> Path:
        """Return the folder of one made here, known by its digest, or one that was there, known by its path."""
        return Path(name) if name.startswith("/") else self._root / f"env-{name}"

    def _discard(self, path: Path) -> None:
        # Renamed first: what is half removed must not look whole.
        aside = self._root / "tmp" / f"discarded-{path.name}"
        path.replace(aside)
        shutil.rmtree(aside)


def _is_environment_name(name: str) -> bool:
    return re.fullmatch(r"env-[0-9a-f]{16}", name) is not None


def _link(path: Path) -> str | None:
    return str(path.readlink()) if path.is_symlink() else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    made = path.with_name(f".{path.name}.part")
    with made.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(code: int, told: str) -> str:
    """Return the last line that a program told, without its own name, or how it ended."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)(fer-edge: )?error: .*[^:]$", line)] or lines
    return re.sub(r"(?i)^(fer-edge: )?error: ", "", errors[-1]) if errors else f"exit code {code}"


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    agent = Agent(requests)
    found: dict[str, Any] = dict(_READY)
    while True:
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()
        line = requests.readline(_MAX_REQUEST_BYTES)
        if not line:
            return
        try:
            found = {"found": agent.answer(json.loads(line))}
        except Refused as error:
            found = {"refused": error.kind, "message": str(error)}
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            where = f"{error.filename}: " if error.filename else ""
            found = {"refused": "full" if is_full else "failed", "message": f"{where}{error.strerror or error}"}


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
