"""Parquet: the same rows as in JSON, in parts that survive an interruption."""

from __future__ import annotations

import json
import shutil

import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.bulk import results as results_module
from fer_edge.bulk._arrow import ArrowEncoder
from fer_edge.bulk.inputs import Item
from fer_edge.bulk.results import open_results
from fer_edge.bulk.rows import make_rows
from fer_edge.cli import main
from fer_edge.errors import OutputError, UsageError

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'fer-edge[parquet]'")

JOB = {"source": "/tree"}
LABELS = ("happy", "sad")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.parquet"


def sources(first, n):
    return [f"{number}.png" for number in range(first, first + n)]


def payload(first, n):
    encoder = ArrowEncoder(faces=True, labels=LABELS, csv_columns=())
    answer = {"emotion": "sad", "probs": {"happy": 0.25, "sad": 0.75}, "error": None}
    return encoder.encode(make_rows(first, [Item(source=each) for each in sources(first, n)], [answer] * n))


def indices(folder):
    return parquet.read_table(folder)["index"].to_pylist()


def begin(out, n):
    with pytest.raises(KeyboardInterrupt), open_results(out, "parquet", JOB, force=False) as results:  # noqa: PT012
        results.add(payload(0, n), sources(0, n), 0)
        raise KeyboardInterrupt


@pytest.mark.parametrize("faces", [True, False], ids=["faces", "photos"])
def test_the_same_rows_as_in_json(tmp_path, default_bundle, faces):
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copy(demo_photo_path(), tree / "a.png")
    (tree / "b.png").write_bytes(b"no picture")
    (tree / "list.csv").write_text("path,id\na.png,1\nb.png,2\nc.png,3\na.png\n", encoding="utf-8")
    words = [str(tree / "list.csv"), "--engine", "onnx", "--bundle", str(default_bundle.path), "--workers", "1"]
    words += ["--faces"] if faces else []
    for name in ("out.jsonl", "out.parquet"):
        assert main(["bulk", *words, "--out", str(tmp_path / name)]) == 1
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.schema.metadata[b"schema"] == b"fer-edge/bulk/1"
    found = table.to_pylist()
    assert len(found) == len(lines) == 4
    for row, line in zip(found, lines, strict=True):
        expected = json.loads(line)
        assert expected.pop("schema") == "fer-edge/bulk/1"
        expected.setdefault("csv", None)
        assert list(row) == [
            "index",
            "source",
            "csv",
            *(["emotion", "probs"] if faces else ["size_wh", "faces"]),
            "error",
        ]
        assert rounded(row) == rounded(expected)
    assert [name.name for name in sorted((tmp_path / "out.parquet").iterdir())] == ["_bulk.json", "part-00000.parquet"]


def rounded(value):
    """JSON has six digits, Parquet has float32."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


def test_an_interrupted_one_goes_on(out):
    begin(out, 3)
    assert not out.exists()
    partial = out.with_name("out.parquet.partial")
    # What a run that was killed leaves: a part that no record names, and one that was being written.
    shutil.copy(partial / "part-00000.parquet", partial / "part-00001.parquet")
    (partial / ".part-00002.parquet.77.part.parquet").write_bytes(b"half")
    with open_results(out, "parquet", JOB, force=False) as results:
        results.pass_over(sources(0, 3))
        results.add(payload(3, 2), sources(3, 2), 0)
        results.finish()
    assert indices(out) == [0, 1, 2, 3, 4]
    assert results.n_rows == 5
    assert not partial.exists()


def test_a_part_is_written_when_enough_waits(out, monkeypatch):
    monkeypatch.setattr(results_module._Parquet, "_max_pending_bytes", 1)
    with open_results(out, "parquet", JOB, force=False) as results:
        for first in (0, 2, 4):
            results.add(payload(first, 2), sources(first, 2), 0)
        results.finish()
    assert indices(out) == [0, 1, 2, 3, 4, 5]
    assert len(list(out.glob("part-*.parquet"))) == 3


def test_a_part_that_is_missing(out):
    begin(out, 3)
    (out.with_name("out.parquet.partial") / "part-00000.parquet").unlink()
    with pytest.raises(UsageError, match=r"part-00000\.parquet is missing; add --force to start over"):
        open_results(out, "parquet", JOB, force=False)


def test_force_replaces_an_old_result(out):
    for n in (3, 2):
        with open_results(out, "parquet", JOB, force=True) as results:
            results.add(payload(0, n), sources(0, n), 0)
            results.finish()
    assert indices(out) == [0, 1]


def test_a_full_disk(out, monkeypatch):
    def full(path, payloads):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results_module, "write_part", full)
    with pytest.raises(OutputError) as caught, open_results(out, "parquet", JOB, force=False) as results:  # noqa: PT012
        results.add(payload(0, 3), sources(0, 3), 0)
        results.finish()
    assert str(caught.value).endswith(
        "No space left on device; the 0 rows before are kept, the same command goes on from there"
    )


def test_a_name_that_is_no_text():
    item = Item(source="a\udcff.png", problem="x")
    encoder = ArrowEncoder(faces=True, labels=LABELS, csv_columns=())
    data = encoder.encode(make_rows(0, [item], [{"emotion": None, "probs": None, "error": "a\udcff.png: bad"}]))
    import pyarrow

    (row,) = pyarrow.ipc.open_stream(data).read_all().to_pylist()
    assert (row["source"], row["error"]) == ("a\\udcff.png", "a\\udcff.png: bad")
