"""`fer-edge deploy` against a real ssh server on this machine; each test has a root of its own."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runtime_support import installed_engine

from fer_edge.bundle import Bundle
from fer_edge.cli import main
from fer_edge.files import sha256_of_file
from fer_edge_devices.deploy.connection import Connection

DEFAULT = object()


class Client:
    """Runs the command against a server; `environment` is that of its deployments where none is named."""

    def __init__(self, server, root, capsys, environment):
        self.server, self.root, self.environment, self._capsys = server, root, environment, capsys

    def words(self, *words, config=None, environment=DEFAULT):
        options = [
            "--port",
            str(self.server.port),
            "--ssh-config",
            str(config or self.server.config()),
            "--root",
            str(self.root),
            "--json",
        ]
        environment = self.environment if environment is DEFAULT else environment
        if environment and not {"--status", "--rollback", "--uninstall"} & {str(word) for word in words}:
            options += ["--environment", str(environment)]
        return ["deploy", *options, self.server.destination, *map(str, words)]

    def __call__(self, *words, **options):
        code = main(self.words(*words, **options))
        out, err = self._capsys.readouterr()
        return code, json.loads(out) if out else None, err

    def version(self, link="current"):
        try:
            return Bundle.open(self.root / link / "bundle").manifest.version
        except Exception:  # noqa: BLE001
            return None


# A name that a shell would take apart.
ROOT_NAME = "it's; a root"


@pytest.fixture
def client(ssh_server, tmp_path, capsys, quick_environment):
    return Client(ssh_server, tmp_path / ROOT_NAME, capsys, quick_environment)


@pytest.fixture
def real_client(ssh_server, tmp_path, capsys):
    """A client whose self-tests run the engine, in the environment that the tests run in."""
    installed_engine("litert")
    return Client(ssh_server, tmp_path / ROOT_NAME, capsys, sys.prefix)


def last_line(err):
    return err.splitlines()[-1]


def test_first_then_the_same_then_another(real_client, bundles):
    code, found, err = real_client(bundles["1"])
    assert (code, found["changed"], real_client.version()) == (0, True, "1")
    assert found["self_test"] in ({"exact": 2}, {"exact": 1, "within tolerance": 1})
    assert found["current"]["bundle_sha256"] == sha256_of_file(bundles["1"] / "manifest.json")
    assert (real_client.root / "bundles" / found["current"]["bundle_sha256"]).is_dir()
    assert (real_client.root / "current" / "env").resolve() == Path(sys.prefix).resolve()
    assert [line.split()[0] for line in err.splitlines() if "Created" not in line] == [
        "connecting",
        "found",
        "copying",
        "testing",
        "making",
    ]
    first = (real_client.root / "current").readlink()
    code, found, err = real_client(bundles["1"])
    assert (code, found["changed"], (real_client.root / "current").readlink()) == (0, False, first)
    assert "copying" not in err
    code, found, _ = real_client(bundles["2"])
    assert (code, real_client.version(), real_client.version("previous")) == (0, "2", "1")
    assert [release["number"] for release in found["releases"]] == [1, 2]
    assert not any((real_client.root / "tmp").glob("*/*"))


def test_a_zip_is_unpacked_there(client, bundles, tmp_path, capsys):
    assert main(["bundle", "pack", str(bundles["1"]), "-o", str(tmp_path / "b.zip")]) == 0
    capsys.readouterr()
    assert client(tmp_path / "b.zip")[0] == 0
    assert client.version() == "1"
    assert not client(bundles["1"])[1]["changed"]


def test_only_the_newest_are_kept_and_the_previous_always(client, bundles):
    for name in ("1", "2", "3"):
        assert client(bundles[name], "--keep", "1")[0] == 0
    assert sorted(path.name for path in (client.root / "releases").iterdir()) == ["2", "3"]
    assert len(list((client.root / "bundles").iterdir())) == 2
    assert (client.version(), client.version("previous")) == ("3", "2")
    assert client("--rollback")[0] == 0
    assert client(bundles["1"], "--keep", "1")[0] == 0
    assert (client.version(), client.version("previous")) == ("1", "2")


def flip_a_byte_after(monkeypatch, request, path):
    """Damage a file on the device after a request was answered, as a bad card would."""
    ask = Connection.ask

    def asked(self, do, **parameters):
        found = ask(self, do, **parameters)
        if do == request[0] and parameters.get("name", request[1]) == request[1]:
            data = bytearray(path().read_bytes())
            data[len(data) // 2] ^= 1
            path().write_bytes(data)
        return found

    monkeypatch.setattr(Connection, "ask", asked)


def test_a_copy_that_is_damaged_is_never_current(client, bundles, monkeypatch):
    assert client(bundles["1"])[0] == 0
    flip_a_byte_after(monkeypatch, ("put", "golden.bin"), lambda: client.root / "tmp" / "bundle" / "golden.bin")
    code, _, err = client(bundles["2"])
    assert (code, client.version()) == (4, "1")
    assert "the self-test failed" in last_line(err)
    assert "golden.bin: expected SHA-256" in last_line(err)
    monkeypatch.undo()
    assert (client(bundles["2"])[0], client.version()) == (0, "2")


def test_a_file_other_than_was_sent_is_refused_at_once(client, bundles, monkeypatch):
    ask = Connection.ask

    def asked(self, do, *, contents=(), **parameters):
        if do == "put":
            contents = [bytes(reversed(part)) for part in contents]
        return ask(self, do, contents=contents, **parameters)

    monkeypatch.setattr(Connection, "ask", asked)
    code, _, err = client(bundles["1"])
    assert (code, client.version()) == (4, None)
    assert re.search(r"manifest\.json: expected SHA-256 \w{16}…, found \w{16}… after copying", last_line(err))


def test_a_bundle_that_rotted_there_is_mended(client, bundles):
    assert client(bundles["1"])[0] == 0
    path = client.root / "current" / "bundle" / "golden.bin"
    path.write_bytes(path.read_bytes()[:-1])
    code, found, _ = client(bundles["1"])
    assert (code, found["changed"]) == (0, True)
    assert Bundle.open(client.root / "current" / "bundle").verify() == 2


def test_other_outputs_than_the_golden_ones_are_named_by_stage(real_client, bundles):
    assert real_client(bundles["1"])[0] == 0
    code, _, err = real_client(bundles["bad"])
    assert (code, real_client.version()) == (4, "1")
    assert "classifier litert int8: expected the golden outputs" in last_line(err)
    assert len(list((real_client.root / "bundles").iterdir())) == 1


def environment_with(folder, script):
    """An environment whose `fer-edge` is a shell script."""
    program = folder / "bin" / "fer-edge"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


FAILS_AS_CURRENT = (
    'case "$*" in */current/*) echo "fer-edge: error: as current" >&2; exit 4;; esac\necho \'{"golden": []}\''
)


@pytest.mark.parametrize("before", [[], ["1"], ["1", "2"]], ids=["nothing", "one", "two"])
def test_what_fails_once_it_is_current_is_taken_back(client, bundles, tmp_path, before):
    for name in before:
        assert client(bundles[name])[0] == 0
    links = [(client.root / name).readlink() for name in ("current", "previous")[: len(before)]]
    environment = environment_with(tmp_path / "env", FAILS_AS_CURRENT)
    code, _, err = client(bundles["3"], environment=environment)
    assert code == 4
    if before:
        assert last_line(err).endswith(f"the self-test failed: as current; returned to releases/{len(before)}")
    else:
        assert last_line(err).endswith("nothing was deployed before, so there is no current bundle")
    assert [(client.root / name).readlink() for name in ("current", "previous")[: len(before)]] == links
    assert [(client.root / name).is_symlink() for name in ("current", "previous")] == [
        len(before) > 0,
        len(before) > 1,
    ]
    assert sorted(path.name for path in (client.root / "releases").iterdir()) == ["1", "2"][: len(before)]
    assert client(bundles["3"])[0] == 0


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("kill -ILL $$", 1, "ended by SIGILL"),
        ("echo 'fer-edge: error: no engine' >&2; exit 3", 3, "no engine"),
        ("exit 1", 1, "exit code 1"),
    ],
    ids=["signal", "no-engine", "silent"],
)
def test_how_a_self_test_fails(client, bundles, tmp_path, script, code, words):
    found, _, err = client(bundles["1"], environment=environment_with(tmp_path / "env", script))
    assert (found, client.version()) == (code, None)
    assert last_line(err).endswith(f"the self-test failed: {words}")


def test_an_environment_without_the_command(client, bundles, tmp_path):
    code, _, err = client(bundles["1"], environment=tmp_path)
    assert code == 1
    assert last_line(err).endswith("expected the command fer-edge in the environment, found none")


def test_rollback_tests_and_exchanges(client, bundles):
    assert client("--rollback")[0] == 2
    assert client(bundles["1"])[0] == 0
    code, _, err = client("--rollback")
    assert code == 2
    assert "there is no previous release to return to" in last_line(err)
    assert client(bundles["2"])[0] == 0
    for current, previous in (("1", "2"), ("2", "1")):
        code, found, _ = client("--rollback")
        assert (code, client.version(), client.version("previous")) == (0, current, previous)
        assert found["current"]["bundle"].endswith(f" {current}")
    damaged = client.root / "previous" / "bundle" / "golden.bin"
    damaged.write_bytes(b"")
    assert (client("--rollback")[0], client.version()) == (4, "2")


def test_status(client, bundles):
    code, found, err = client("--status")
    assert (code, found["current"], found["releases"], err) == (0, None, [], "")
    assert not client.root.exists()
    assert client(bundles["1"])[0] == 0
    _, found, _ = client("--status")
    assert found["schema"] == "fer-edge/deployment/1"
    assert found["root"] == str(client.root)
    assert found["current"] == found["releases"][0]
    assert found["current"]["bundle"].endswith(" 1")


def test_text_for_people(client, bundles, capsys):
    words = client.words(bundles["1"])
    assert main([word for word in words if word != "--json"]) == 0
    out, _ = capsys.readouterr()
    first, second = out.splitlines()
    assert re.search(r" 1 is current now on \S+@127\.0\.0\.1; self-test: \d", first)
    assert second.endswith(f"start it again to use {client.root}/current")
    assert main([word for word in client.words("--status") if word != "--json"]) == 0
    assert re.search(r"\ncurrent +1  \S.* 1  [0-9a-f]{16}  environment /", capsys.readouterr().out)
    assert main([word for word in client.words("--uninstall") if word != "--json"]) == 0
    assert f"removed {client.root}/releases/1\n" in capsys.readouterr().out


def test_uninstall_removes_what_was_made_and_nothing_else(client, bundles):
    assert client("--uninstall")[0] == 2
    assert client(bundles["1"])[0] == 0
    mine = [
        client.root / "notes.txt",
        client.root / "bundles" / "mine",
        client.root / "env-mine" / "file",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    code, found, _ = client("--uninstall")
    assert code == 0
    assert found["left"] == sorted(map(str, mine))
    assert str(client.root / "current") in found["removed"]
    assert sorted(path for path in client.root.rglob("*") if path.is_file()) == sorted(mine)
    assert (client.environment / "bin" / "fer-edge").exists()


def test_uninstall_leaves_no_folder(client, bundles):
    assert client(bundles["1"])[0] == 0
    assert client("--uninstall")[1]["left"] == []
    assert not client.root.exists()


def test_an_environment_that_was_not_made_to_its_end_is_removed(client, bundles):
    assert client(bundles["1"])[0] == 0
    for name in ("env-0123456789abcdef", "env-mine"):
        (client.root / name / "bin").mkdir(parents=True)
    assert client(bundles["1"])[0] == 0
    assert [path.name for path in client.root.glob("env-*")] == ["env-mine"]


def test_a_folder_of_others_is_left_alone(client, bundles):
    client.root.mkdir()
    (client.root / "holiday.jpg").write_text("mine")
    code, _, err = client(bundles["1"])
    assert code == 2
    assert "found holiday.jpg; choose --root" in last_line(err)
    assert [path.name for path in client.root.iterdir()] == ["holiday.jpg"]


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_ended_in_the_middle(client, bundles, tmp_path, how):
    assert client(bundles["1"])[0] == 0
    begun = tmp_path / "begun"
    waits = environment_with(tmp_path / "env", f"touch '{begun}'; sleep 60")
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge", *client.words(bundles["2"], environment=waits)], stderr=subprocess.DEVNULL
    )
    wait_for(begun.exists)
    process.send_signal(how)
    assert process.wait(20) == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[how]
    assert client.version() == "1"
    assert any((client.root / "tmp" / "bundle").iterdir())

    # The agent notices that its client has gone, and lets the lock go.
    def again():
        code, _, err = client(bundles["3"])
        assert code == 0 or "another deployment is running" in err
        return code == 0

    wait_for(again)
    assert (client.version(), client.version("previous")) == ("3", "1")
    assert not any((client.root / "tmp").glob("*/*"))


def test_two_at_once(client, bundles, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    script = (
        f"touch '{begun}'; while [ ! -e '{go}' ]; do sleep 0.05; done; exec '{client.environment}/bin/fer-edge' \"$@\""
    )
    slow = environment_with(tmp_path / "env", script)
    first = subprocess.Popen(
        [sys.executable, "-m", "fer_edge", *client.words(bundles["1"], environment=slow)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(begun.exists)
    for words in ([bundles["2"]], ["--rollback"], ["--uninstall"]):
        code, _, err = client(*words)
        assert code == 1
        assert last_line(err).endswith("another deployment is running; wait for its end")
    assert client("--status")[0] == 0
    go.touch()
    assert (first.wait(30), client.version()) == (0, "1")
    assert client(bundles["2"])[0] == 0


def test_the_disk_is_full_while_copying(client, bundles, monkeypatch):
    assert client(bundles["1"])[0] == 0
    ask = Connection.ask

    def asked(self, do, **parameters):
        if parameters.get("name") == "golden.bin":
            (client.root / "tmp" / "bundle" / "golden.bin").symlink_to("/dev/full")
        return ask(self, do, **parameters)

    monkeypatch.setattr(Connection, "ask", asked)
    code, _, err = client(bundles["2"])
    assert (code, client.version()) == (1, "1")
    assert last_line(err).endswith("No space left on device; the disk is full, make room on it")


def test_too_little_room(client, bundles, monkeypatch):
    assert client(bundles["1"])[0] == 0
    ask = Connection.ask

    def asked(self, do, **parameters):
        found = ask(self, do, **parameters)
        return {**found, "free_bytes": 1_000_000} if do == "look" else found

    monkeypatch.setattr(Connection, "ask", asked)
    code, _, err = client(bundles["2"])
    assert (code, client.version()) == (1, "1")
    assert re.search(r"expected 2\d MB free at .*, found 1 MB; make room", last_line(err))


def test_the_host_is_unknown_or_another(client, bundles):
    for known, words in (("no_hosts", "the host's key is not known"), ("other_hosts", "is not the one that is known")):
        config = client.server.config(f"config-{known}", known_hosts=known)
        code, _, err = client(bundles["1"], config=config)
        assert code == 1
        assert words in last_line(err)
        assert not client.root.exists()
    assert not (client.server.folder / "no_hosts").read_text()


def test_the_key_is_refused(client, bundles):
    code, _, err = client(bundles["1"], config=client.server.config("config-stranger", key="stranger"))
    assert code == 1
    assert last_line(err).endswith(f"put your key there: ssh-copy-id {client.server.destination}")


def test_nobody_listens(client, bundles, closed_port, capsys):
    words = client.words(bundles["1"])
    words[2] = str(closed_port)
    assert main(words) == 1
    assert "cannot be reached, or has gone: ssh: connect to host 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("/no/such/python", "there is no /no/such/python"),
        ("old", "expected Python 3.10 or newer as {}, found 3.9.2; name another with --python"),
    ],
    ids=["none", "old"],
)
def test_the_devices_python(client, bundles, tmp_path, python, words):
    if python == "old":
        python = tmp_path / "an old; python"
        python.write_text("#!/bin/sh\necho 'fer-edge-deploy: Python 3.9.2' >&2; exit 1\n")
        python.chmod(0o755)
    code, _, err = client(bundles["1"], "--python", python)
    assert code == 3
    assert words.format(python) in last_line(err)


def test_a_login_that_talks(client, bundles, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho 'Welcome to the Pi'\nexec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    assert client(bundles["1"], "--python", python)[0] == 0


@pytest.mark.slow
def test_an_environment_is_made_without_a_network_and_used_again(real_client, bundles, stand_in_wheel):
    words = ("--wheelhouse", stand_in_wheel.parent)
    code, found, err = real_client(bundles["1"], *words, environment=None)
    assert (code, real_client.version()) == (0, "1"), err
    assert "copying fer_edge-" in err
    digest = found["current"]["environment"]
    made = real_client.root / f"env-{digest}"
    assert (real_client.root / "current" / "env").resolve() == made
    assert found["current"]["requirement"] == f"fer-edge[litert] of {stand_in_wheel.name}"
    code, found, err = real_client(bundles["2"], *words, environment=None)
    assert (code, found["current"]["environment"]) == (0, digest)
    assert "copying fer_edge-" not in err
    assert not any((real_client.root / "tmp").glob("*/*"))
    # It goes with the last release that uses it, and not before.
    for name, stays in (("1", True), ("2", False)):
        assert real_client(bundles[name], "--keep", "1")[0] == 0
        assert made.exists() == stays


@pytest.mark.slow
def test_an_environment_that_cannot_be_made(client, bundles, stand_in_wheel, tmp_path):
    broken = tmp_path / stand_in_wheel.name
    broken.write_bytes(b"no wheel")
    code, _, err = client(bundles["1"], "--wheel", broken, "--wheelhouse", tmp_path, environment=None)
    assert (code, client.version()) == (1, None)
    assert "pip install: " in last_line(err)
    assert not list(client.root.glob("env-*"))
