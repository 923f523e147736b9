"""What is decided before and without a connection."""

import subprocess
import sys

import pytest

from fer_edge._version import __version__
from fer_edge.bundle import Bundle
from fer_edge.cli import main
from fer_edge.errors import MissingExtraError, OutputError, UsageError
from fer_edge_devices.deploy import Deployment, EnvironmentPlan, Target
from fer_edge_devices.deploy.connection import _BOOTSTRAP, Connection, _connection_error
from fer_edge_devices.deploy.deployment import _check_device

HOSTILE = ["-oProxyCommand=touch x", "-lroot", "pi@-oX", "pi@host;reboot", "pi@$(reboot)", "a b", "pi@", "@host", ""]
HOSTILE += ["pi@host\n", "pi@ho`st`", "pi@host/x", "ssh://pi@host", "pi@pi@host"]


@pytest.mark.parametrize("destination", HOSTILE)
def test_hostile_destinations_are_refused(destination, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started something"))
    with pytest.raises(UsageError, match="expected USER@HOST, found"):
        Target(destination=destination)


@pytest.mark.parametrize(
    "destination", ["pi@raspberrypi.local", "pi@192.168.1.4", "kitchen", "pi@fe80::1%eth0", "p-i@h_1"]
)
def test_destinations(destination):
    command = Target(destination=destination).command()
    assert command[-3:-1] == ["--", destination]
    assert "StrictHostKeyChecking=yes" in command
    assert "BatchMode=yes" in command


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 0}, "--port: expected 1 to 65535"),
        ({"port": 65536}, "--port: expected 1 to 65535"),
        ({"python": "-c"}, "--python: expected a name"),
        ({"python": "a\nb"}, "--python: expected a name"),
        ({"python": ""}, "--python: expected a name"),
    ],
    ids=str,
)
def test_targets_are_checked(options, words):
    with pytest.raises(UsageError, match=words):
        Target(destination="pi@pi", **options)


def test_a_remote_python_is_one_word():
    remote = Target(destination="pi@pi", python="/opt/it's; reboot").command()[-1]
    shown = subprocess.run(
        ["sh", "-c", remote.replace("exec ", "printf '%s\\n' ", 1)], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"/opt/it's; reboot\n-I\n-c\n{_BOOTSTRAP}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--root", "relative"],
        ["--root", ""],
        ["--root", "/"],
        ["--root", "~/"],
        ["--root", "~other/x"],
        ["--root", "/a/../b"],
        ["--root", "/a\nb"],
        ["--root", "/a:b"],
        ["--root", "/a$b"],
        ["--keep", "0"],
        ["--environment", "relative"],
        ["--environment", "/opt/env", "--wheel", "x.whl"],
        ["--environment", "/opt/env", "--system-site-packages"],
        ["--wheelhouse", "/no/such/folder"],
        ["--wheel", "/no/such-1-py3-none-any.whl"],
        ["--ssh-config", "/no/such/file"],
    ],
    ids=" ".join,
)
def test_wrong_words_end_with_2_before_a_connection(words, monkeypatch, capsys, default_bundle):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started something"))
    assert main(["deploy", *words, "pi@pi", str(default_bundle.path)]) == 2
    assert capsys.readouterr().err.startswith("fer-edge: error: ") or words[0] == "--root"


@pytest.mark.parametrize("action", ["--status", "--rollback", "--uninstall"])
def test_a_bundle_where_none_is_taken(action, capsys):
    assert main(["deploy", action, "pi@pi", "bundle"]) == 2


def test_a_damaged_bundle_is_not_copied(default_bundle, tmp_path, monkeypatch):
    import shutil

    from fer_edge.errors import IntegrityError
    from fer_edge_devices.deploy import deploy

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started something"))
    shutil.copytree(default_bundle.path, tmp_path / "bundle")
    (tmp_path / "bundle" / "golden.bin").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"golden\.bin"):
        deploy(Target(destination="pi@pi"), Deployment(bundle=Bundle.open(tmp_path / "bundle"), environment="/opt/env"))


@pytest.mark.parametrize(
    ("code", "told", "error", "words"),
    [
        (255, "ssh: connect to host pi port 22: Connection refused", OutputError, "cannot be reached, or has gone"),
        (255, "ssh: Could not resolve hostname pi: Name or service not known", OutputError, "Could not resolve"),
        (255, "pi@pi: Permission denied (publickey).", OutputError, "ssh-copy-id pi@pi"),
        (255, "No ED25519 host key is known for pi\nHost key verification failed.", OutputError, "is not known"),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key …", OutputError, "ssh-keygen -R pi"),
        (127, "sh: 1: exec: python3: not found", MissingExtraError, "there is no python3; sudo apt install python3"),
        (
            1,
            "fer-edge-deploy: Python 3.9.2",
            MissingExtraError,
            "expected Python 3.10 or newer as python3, found 3.9.2",
        ),
        (1, "Traceback …\nValueError: \x1b[2Jx", OutputError, "the agent ended: ValueError: \ufffd[2Jx"),
        (255, "", OutputError, "ssh ended with 255"),
    ],
    ids=["refused", "name", "key", "unknown-host", "changed-host", "no-python", "old-python", "broken", "silent"],
)
def test_what_ended_a_connection(code, told, error, words):
    found = _connection_error(Target(destination="pi@pi"), code, told)
    assert type(found) is error
    assert words in str(found)
    assert len(str(found).splitlines()) == 1


def test_no_ssh_here(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="sudo apt install openssh-client"):
        Connection(Target(destination="pi@pi"))


DEVICE = {"pointer_bits": 64, "machine": "aarch64", "has_venv": True}


@pytest.mark.parametrize(
    ("changes", "needs_venv", "words"),
    [
        ({"pointer_bits": 32}, False, "expected a 64-bit system, found 32-bit programs on aarch64"),
        ({"has_venv": False}, True, "sudo apt install python3-venv"),
    ],
    ids=["32-bit", "no-venv"],
)
def test_devices_that_will_not_do(changes, needs_venv, words):
    with pytest.raises((OutputError, MissingExtraError), match=words):
        _check_device({**DEVICE, **changes}, Target(destination="pi@pi"), needs_venv=needs_venv)


def test_a_device_that_will_do():
    _check_device(DEVICE, Target(destination="pi@pi"), needs_venv=True)
    _check_device({**DEVICE, "has_venv": False}, Target(destination="pi@pi"), needs_venv=False)


def test_requirements(tmp_path):
    assert EnvironmentPlan(extra="onnx").requirement() == f"fer-edge[onnx]=={__version__}"
    wheels = [tmp_path / f"{name}-py3-none-any.whl" for name in ("fer_edge-1.0", "numpy-2.0", "fer_edge-1.1")]
    for path in wheels[:2]:
        path.write_bytes(path.name.encode())
    plan = EnvironmentPlan(wheelhouse=tmp_path)
    assert (plan.requirement(), plan.own_wheel()) == ("fer-edge[litert]", wheels[0])
    assert sorted(path.name for path in plan.files()) == sorted(path.name for path in wheels[:2])
    wheels[2].touch()
    with pytest.raises(UsageError, match=r"expected one wheel of fer-edge in .*, found 2"):
        plan.requirement()
    chosen = EnvironmentPlan(wheelhouse=tmp_path, wheel=wheels[2])
    assert (chosen.requirement(), chosen.own_wheel()) == ("fer-edge[litert]", wheels[2])
    assert len(chosen.files()) == 3


def test_the_digest_differs_where_an_input_does(tmp_path):
    wheel = tmp_path / "fer_edge-1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    plans = [
        EnvironmentPlan(),
        EnvironmentPlan(extra="onnx"),
        EnvironmentPlan(system_site_packages=True),
        EnvironmentPlan(wheel=wheel),
        EnvironmentPlan(wheelhouse=tmp_path),
    ]
    digests = {plan.digest("3.11.2") for plan in plans} | {EnvironmentPlan().digest("3.13.5")}
    wheel.write_bytes(b"two")
    digests |= {plans[3].digest("3.11.2"), plans[4].digest("3.11.2")}
    assert len(digests) == 8
    assert EnvironmentPlan().digest("3.11.2") == plans[0].digest("3.11.2")


def test_a_file_that_is_no_wheel_is_refused(tmp_path):
    for name in ("-x.whl", "fer edge.whl", "fer_edge.tar.gz"):
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match="expected a file with the name of a wheel"):
            EnvironmentPlan(wheel=tmp_path / name).files()


def test_the_agent_needs_the_standard_library_alone():
    from fer_edge_devices.deploy import connection

    agent = connection.__file__.replace("connection.py", "agent.py")
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='agent')"
    code += "; print([name for name in sys.modules if name.startswith('fer')])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, agent], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
