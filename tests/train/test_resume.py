"""A training run in processes of its own, ended in the middle and continued."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from train.support import child_environment, hide_modules, write_learnable_csv

pytestmark = [pytest.mark.host, pytest.mark.slow]

N_EPOCHS = 36  # enough that some are left when a busy machine delivers a signal late
# Several commands, one after the other, for each but the last its exit code on stderr. A shell that runs the tests in
# the background has its children ignore SIGINT.
MAIN = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from fer_edge.cli import main
def run(words):
    sys.argv[1:] = words  # a record tells them
    return main(words)
*others, last = json.loads(sys.argv[1])
for words in others:
    print("ended with", run(words), file=sys.stderr)
sys.exit(run(last))
"""


@pytest.fixture
def folder(tmp_path: Path, keras) -> Path:
    """A folder with a small csv, and the command's entry point where the package is not installed."""
    write_learnable_csv(tmp_path / "tiny.csv", 100, 21)
    site = tmp_path / "site"
    info = site / "fer_edge_of_the_tests-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fer-edge-of-the-tests\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[fer_edge.commands]\ntrain = fer_edge_train.commands.train:COMMAND\n")
    if importlib.util.find_spec("torch") is not None:
        hide_modules(site, "tensorflow", "sklearn")
    return tmp_path


def command(out: str, *words: str) -> list[str]:
    options = ["--data", "tiny.csv", "--epochs", str(N_EPOCHS), "--batch-size", "16", "--out", out, *words]
    return ["train", "mini_xception", *options]


def start(folder: Path, *commands: list[str]) -> subprocess.Popen[str]:
    environment = child_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(folder / "site"), environment["PYTHONPATH"]])
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, json.dumps(commands)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def end_in_epoch(process: subprocess.Popen[str], epoch: int, number: signal.Signals, fold: int = 1) -> tuple[int, str]:
    """Send a signal while `epoch` of `fold` (both from 1) is under way; return exit code and stderr's rest."""
    guard = threading.Timer(500, process.kill)
    guard.start()
    n_to_come = fold
    try:
        for line in process.stderr:
            n_to_come -= bool(re.match(rf"epoch {epoch - 1}/", line))
            if not n_to_come:
                break
        process.send_signal(number)
        rest = process.stderr.read()
        return process.wait(timeout=60), rest
    finally:
        guard.cancel()
        process.stdout.close()
        process.stderr.close()


def weights(keras, folder: Path, out: str) -> list[np.ndarray]:
    return keras.saving.load_model(folder / out / "model.keras", compile=False).get_weights()


def test_a_run_killed_and_interrupted_ends_with_the_weights_of_an_uninterrupted_one(folder, keras):
    code, stdout, stderr = finish(start(folder, command("whole")))
    assert code == 0, stderr
    assert re.fullmatch(r"whole: PublicTest \d+\.\d\d % \(95 % interval .* n = 21\)\n", stdout)

    code, _ = end_in_epoch(start(folder, command("ended")), 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (folder / "ended").exists()
    done_when_killed = json.loads((folder / "ended.partial" / "state.json").read_text())["epochs_done"]
    assert 2 <= done_when_killed < N_EPOCHS

    code, message = end_in_epoch(start(folder, command("ended")), done_when_killed + 2, signal.SIGINT)
    assert code == 130
    kept = rf"fer-edge: interrupted; (\d+) of {N_EPOCHS} epochs are kept in ended\.partial, the same command continues"
    found = re.fullmatch(kept, message.splitlines()[-1])
    assert found, message
    assert int(found[1]) > done_when_killed
    assert "Traceback" not in message
    assert not (folder / "ended").exists()

    others = [command("ended", "--peak-rate", "0.2"), command("ended", "--start-from", "whole")]
    code, _, stderr = finish(start(folder, *others, command("ended")))
    assert code == 0, stderr
    another_rate, another_start, stderr = stderr.split("ended with 2\n")
    assert another_rate.splitlines()[-1] == (
        "fer-edge: error: ended.partial holds an unfinished run with another peak_rate; "
        "repeat its options to continue it, or add --restart to forget it"
    )
    assert "ended.partial holds an unfinished run with another start_from_sha256; " in another_start.splitlines()[-1]
    assert f"continuing after {found[1]} of {N_EPOCHS} epochs of" in stderr
    assert not (folder / "ended.partial").exists()
    curves = [json.loads((folder / out / "record.json").read_text())["curve"] for out in ("whole", "ended")]
    assert [row["train_loss"] for row in curves[1]] == pytest.approx([row["train_loss"] for row in curves[0]], rel=1e-4)
    pairs = list(zip(weights(keras, folder, "whole"), weights(keras, folder, "ended"), strict=True))
    assert sum(weight.size for weight, _ in pairs) == 58_423
    for uninterrupted, resumed in pairs:
        np.testing.assert_allclose(resumed, uninterrupted, atol=1e-5)


def test_folds_killed_in_the_second_end_with_the_weights_of_uninterrupted_ones(folder, keras):
    words = ["--folds", "2", "--epochs", "20"]
    code, stdout, stderr = finish(start(folder, command("whole", *words)))
    assert code == 0, stderr
    assert re.fullmatch(
        r"(whole: fold [12] of 2 .* n = \d+\)\n){2}whole: mean of 2 folds \d+\.\d\d %, their standard deviation .*\n",
        stdout,
    )

    code, _ = end_in_epoch(start(folder, command("ended", *words)), 3, signal.SIGKILL, fold=2)
    assert code == -signal.SIGKILL
    assert not (folder / "ended").exists()
    partial = folder / "ended.partial"
    assert sorted(path.name for path in partial.iterdir()) == ["ended_fold1", "ended_fold2.partial"]
    finished = (partial / "ended_fold1" / "model.keras").stat()

    others = command("ended", "--folds", "3", "--epochs", "20")
    code, _, stderr = finish(start(folder, others, command("ended", *words)))
    assert code == 0, stderr
    refused, stderr = stderr.split("ended with 2\n")
    assert refused.splitlines()[-1] == (
        "fer-edge: error: ended.partial/ended_fold1 holds a finished fold with another fold, data; "
        "repeat its options to keep it, or add --restart to forget all folds"
    )
    said = [line for line in stderr.splitlines() if line.startswith(("fold", "continuing"))]
    assert said[:2] == ["fold 1 of 2 is finished", "fold 2 of 2"]
    assert re.match(r"continuing after \d+ of 20 epochs of", said[2])
    assert not partial.exists()
    kept = (folder / "ended" / "ended_fold1" / "model.keras").stat()
    assert (kept.st_ino, kept.st_mtime_ns) == (finished.st_ino, finished.st_mtime_ns)
    records = [json.loads((folder / out / "folds.json").read_text()) for out in ("whole", "ended")]
    assert records[0]["division_sha256"] == records[1]["division_sha256"]
    assert records[0]["pooled"]["n"] == records[1]["pooled"]["n"] == 100
    for i in (1, 2):
        pairs = zip(
            weights(keras, folder, f"whole/whole_fold{i}"), weights(keras, folder, f"ended/ended_fold{i}"), strict=True
        )
        for uninterrupted, resumed in pairs:
            np.testing.assert_allclose(resumed, uninterrupted, atol=1e-5)
