"""The one way to what the kernel and the vendor's programs tell: files under a root, and a program's output.

A test gives another root, a folder that mirrors /proc, /sys and /etc of a device. Nothing here raises for what a system
lacks, forbids or fills with nonsense: the answer is None then.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SystemTree", "natural_key", "run_tool"]

# /proc/cpuinfo of 256 x86 threads has some 400 kB; nothing else that is read here comes near.
_MAX_BYTES = 4 * 1024 * 1024
# As many as Linux follows before it answers ELOOP.
_MAX_LINKS = 40
# vcgencmd answers in some 10 ms; where the firmware hangs, it never does.
_TOOL_TIMEOUT_S = 2.0
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")


class SystemTree:
    """Files of the system, or of a folder that mirrors one.

    Links are followed as if `root` were the file system's root: neither an absolute link nor `..` leads out of it.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self._is_real = root == Path("/")
        # A dict keeps the order and each path once.
        self._denied: dict[str, None] = {}

    @property
    def denied(self) -> tuple[str, ...]:
        """Paths that exist and may not be read by this user, in the order they were first tried."""
        return tuple(self._denied)

    def read_text(self, path: str) -> str | None:
        """Return a file's text without the NULs and newlines at its end; None where it cannot be read.

        Bytes that are not UTF-8 become U+FFFD.

        Args:
            path: from the root on, such as "/proc/cpuinfo".
        """
        try:
            # A pipe that lies where a file should must not be waited for.
            descriptor = os.open(self._resolve(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                content = _read_all(descriptor)
            finally:
                os.close(descriptor)
        except PermissionError:
            self._denied[path] = None
            return None
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return None
        return content.decode("utf-8", errors="replace").rstrip("\0\n\r")

    def read_int(self, path: str) -> int | None:
        """Return the decimal whole number that is all a file holds, spaces apart; None where it holds anything else."""
        text = self.read_text(path)
        if text is None or not _WHOLE_NUMBER.fullmatch(text.strip()):
            return None
        value = int(text)
        # No register of the kernel has more than 64 bits.
        return value if abs(value) < 1 << 64 else None

    def is_open(self, path: str) -> bool:
        """Return whether a file is there and this user may read and write it, by its mode or an access list."""
        try:
            return os.access(self._resolve(path), os.R_OK | os.W_OK)
        except (OSError, ValueError):
            return False

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match, from the root on, in natural order: cpu2 before cpu10.

        Args:
            pattern: from the root on; `*`, `?` and `[...]` stand for parts of one name, and match no leading dot.
        """
        found = [""]
        for part in pattern.strip("/").split("/"):
            if re.search(r"[*?[]", part):
                found = [f"{folder}/{name}" for folder in found for name in self._names(folder, part)]
            else:
                found = [f"{folder}/{part}" for folder in found]
        return tuple(sorted(filter(self._exists, found), key=natural_key))

    def _names(self, folder: str, pattern: str) -> list[str]:
        try:
            with os.scandir(self._resolve(folder or "/")) as entries:
                names = [entry.name for entry in entries]
        except PermissionError:
            self._denied[folder or "/"] = None
            return []
        except (OSError, ValueError):
            return []
        return [name for name in names if not name.startswith(".") and fnmatch.fnmatchcase(name, pattern)]

    def _exists(self, path: str) -> bool:
        try:
            return self._resolve(path).exists()
        except (OSError, ValueError):
            return False

    def _resolve(self, path: str) -> Path:
        """Return where a path of the tree lies, no part of it a link that could lead out.

        Raises:
            OSError: too many links.
        """
        if self._is_real:
            return Path(path)
        links = 0
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        resolved: list[str] = []
        while todo:
            part = todo.pop()
            if part == "..":
                del resolved[-1:]
                continue
            here = self.root.joinpath(*resolved, part)
            if not here.is_symlink():
                resolved.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"{path}: more than {_MAX_LINKS} links")
            target = str(here.readlink())
            if target.startswith("/"):
                resolved = []
            todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return self.root.joinpath(*resolved)


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Return a key by which names sort as people count: cpu2, cpu10."""
    return tuple(
        (int(part), "") if part.isascii() and part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", text)
    )


def run_tool(command: Sequence[str]) -> str | None:
    """Return what a program writes to standard output; None where it is missing, fails or takes more than 2 s."""
    try:
        process = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=_TOOL_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def _read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    # A file of the kernel gives what fits a page or what it likes: only an empty answer is the end.
    while size < _MAX_BYTES and (part := os.read(descriptor, min(65536, _MAX_BYTES - size))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
