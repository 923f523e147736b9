"""The recorded trees, and trees made in a test."""

from pathlib import Path

from fer_edge_devices.system_tree import SystemTree

TREES = Path(__file__).with_name("trees")


def recorded(name):
    """The tree of a device in tests/devices/trees."""
    return SystemTree(TREES / name)


class CountingTree(SystemTree):
    """A tree that keeps the paths read and the patterns listed."""

    def __init__(self, root):
        super().__init__(root)
        self.read = []
        self.listed = []

    def read_text(self, path):
        self.read.append(path)
        return super().read_text(path)

    def glob(self, pattern):
        self.listed.append(pattern)
        return super().glob(pattern)


class RecordedTool:
    """Answers as a tree's file does, None where there is none: `vcgencmd X` as vcgencmd/X, and `timedatectl …`.

    What vcgencmd was asked is kept in `asked`.
    """

    def __init__(self, root):
        self.root = root
        self.asked = []

    def __call__(self, command):
        program, *words = command
        if program == "timedatectl":
            path = self.root / program
        else:
            assert program == "vcgencmd"
            (subcommand,) = words
            self.asked.append(subcommand)
            path = self.root / program / subcommand
        return path.read_text(encoding="utf-8").strip() if path.exists() else None


def write_tree(root, files):
    """Write files, by path from the root on, and return their tree."""
    for path, content in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SystemTree(root)
