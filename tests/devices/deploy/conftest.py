"""A real ssh server on 127.0.0.1 with keys and settings of its own, that logs in whoever runs the tests."""

import getpass
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_edge.bundle import Bundle

_STARTING_S = 10.0
_DIGESTS_ALONE = """
import hashlib, json, pathlib, sys

assert sys.argv[1:5] == ["bundle", "verify", "--golden", "--json"]
folder = pathlib.Path(sys.argv[5])
manifest = json.loads((folder / "manifest.json").read_text())
entries = [item["model"] for stage in manifest["stages"].values() for item in stage["variants"]]
for entry in [*entries, manifest["golden"]]:
    if hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() != entry["sha256"]:
        print(f"fer-edge: error: {entry['file']}: expected SHA-256 …", file=sys.stderr)
        sys.exit(4)
print(json.dumps({"golden": [{"outcome": "exact"}]}))
"""


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """Attributes: port; folder with its keys, `known_hosts` and the client's configuration."""

    port: int
    folder: Path

    @property
    def destination(self):
        return f"{getpass.getuser()}@127.0.0.1"

    def config(self, name="config", *, known_hosts="known_hosts", key="client"):
        path = self.folder / name
        path.write_text(
            f"IdentityFile {self.folder / key}\nIdentitiesOnly yes\nUserKnownHostsFile {self.folder / known_hosts}\n"
            "GlobalKnownHostsFile none\nStrictHostKeyChecking no\n"
            # Half the time of the default, which holds against quantum computers too.
            "KexAlgorithms curve25519-sha256\n"
        )
        return path


def _key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory):
    sshd = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if sshd is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh server here: apt-get install openssh-server openssh-client")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("as root, sshd needs its folder: mkdir -p /run/sshd")
    folder = tmp_path_factory.mktemp("sshd")
    host_key = _key(folder / "host")
    (folder / "authorized_keys").write_text(_key(folder / "client"))
    _key(folder / "stranger")
    port = _free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "no_hosts").touch()
    (folder / "other_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'stranger.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nMaxStartups 50\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        until = time.monotonic() + _STARTING_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        yield SshServer(port=port, folder=folder)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def closed_port():
    return _free_port()


@pytest.fixture(scope="session")
def quick_environment(tmp_path_factory):
    """An environment whose `fer-edge` looks at digests alone, in a tenth of the time that an engine takes."""
    program = tmp_path_factory.mktemp("environment") / "bin" / "fer-edge"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -S '{program}.py' \"$@\"\n")
    program.chmod(0o755)
    program.with_name("fer-edge.py").write_text(_DIGESTS_ALONE)
    return program.parents[1]


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory, default_bundle):
    """Function that makes a bundle of the default one's int8 classifier for one engine, whose self-test takes a second.

    `golden_off_by` is added to every byte of its golden outputs.
    """
    source = json.loads(default_bundle.manifest_bytes)
    stage = source["stages"]["classifier"]
    (variant,) = (item for item in stage["variants"] if (item["engine"], item["precision"]) == ("litert", "int8"))

    def make(version, *, golden_off_by=0):
        folder = tmp_path_factory.mktemp("bundles") / version
        folder.mkdir()
        shutil.copy(default_bundle.path / variant["model"]["file"], folder)
        golden = bytearray(default_bundle.read(default_bundle.manifest.golden))
        start = variant["golden"]["offset"]
        for place in range(start, start + 8 * len(source["labels"])):
            golden[place] = (golden[place] + golden_off_by) % 256
        (folder / "golden.bin").write_bytes(golden)
        entry = {"file": "golden.bin", "bytes": len(golden), "sha256": hashlib.sha256(golden).hexdigest()}
        stages = {"classifier": {**stage, "variants": [variant]}}
        manifest = {**source, "version": version, "stages": stages, "golden": entry}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        Bundle.open(folder).verify()
        return folder

    return make


@pytest.fixture(scope="session")
def bundles(small_bundle):
    """Three good bundles and one whose golden outputs no engine gives, by name."""
    return {name: small_bundle(name) for name in ("1", "2", "3")} | {"bad": small_bundle("bad", golden_off_by=97)}


@pytest.fixture(scope="session")
def stand_in_wheel(tmp_path_factory):
    """A wheel named like fer-edge's, that lends an environment what the one of the tests has: it needs no network."""
    import importlib.metadata
    import zipfile

    from fer_edge._version import __version__

    info = f"fer_edge-{__version__}.dist-info"
    points = importlib.metadata.distribution("fer-edge").read_text("entry_points.txt")
    files = {
        "fer_edge_stand_in.pth": "".join(f"{path}\n" for path in sys.path if Path(path).is_dir()),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: fer-edge\nVersion: {__version__}\nProvides-Extra: litert\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = tmp_path_factory.mktemp("wheelhouse") / f"fer_edge-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path
