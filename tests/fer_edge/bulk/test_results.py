"""What a result holds after a run that was ended at any point, and what is refused."""

from __future__ import annotations

import errno
import json
import os

import pytest

from fer_edge.bulk import results as results_module
from fer_edge.bulk.results import check_target, open_results
from fer_edge.errors import OutputError, UsageError

JOB = {"source": "/tree", "engine": "onnx 1"}


def sources(first, n):
    return [f"{number}.png" for number in range(first, first + n)]


def payload(first, n):
    return "".join(json.dumps({"index": number}) + "\n" for number in range(first, first + n)).encode()


def indices(path):
    return [json.loads(line)["index"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


@pytest.fixture
def partial(out):
    return out.with_name("out.jsonl.partial")


def begin(out, n, job=JOB):
    """Write `n` rows and leave as an interruption does."""
    with pytest.raises(KeyboardInterrupt), open_results(out, "jsonl", job, force=False) as results:  # noqa: PT012
        results.add(payload(0, n), sources(0, n), 1)
        raise KeyboardInterrupt


def test_a_whole_result(out, partial):
    with open_results(out, "jsonl", JOB, force=False) as results:
        results.add(payload(0, 3), sources(0, 3), 0)
        assert not out.exists()
        results.add(payload(3, 2), sources(3, 2), 1)
        results.finish()
    assert (results.n_rows, results.n_errors, results.n_rows_before) == (5, 1, 0)
    assert indices(out) == [0, 1, 2, 3, 4]
    assert list(out.parent.iterdir()) == [out]


def test_an_interrupted_one_goes_on(out, partial):
    begin(out, 3)
    assert not out.exists()
    assert indices(partial) == [0, 1, 2]
    with open_results(out, "jsonl", JOB, force=False) as results:
        assert results.n_rows_before == 3
        results.pass_over(sources(0, 3))
        results.add(payload(3, 2), sources(3, 2), 0)
        results.finish()
    assert (results.n_rows, results.n_errors) == (5, 1)
    assert indices(out) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(payload(3, 1), id="rows"),
        pytest.param(payload(3, 2)[:-5], id="half a row"),
        pytest.param(b"\0" * 4096, id="zeros, as a power cut leaves them"),
    ],
)
def test_what_came_after_the_record_is_cut_off(out, partial, tail):
    begin(out, 3)
    with partial.open("ab") as file:
        file.write(tail)
    with open_results(out, "jsonl", JOB, force=False) as results:
        results.pass_over(sources(0, 3))
        results.add(payload(3, 1), sources(3, 1), 0)
        results.finish()
    assert indices(out) == [0, 1, 2, 3]


def test_a_save_that_is_interrupted_is_done_again(out, monkeypatch):
    """A signal between the rows and their record must not write the rows twice."""
    write_record = results_module.write_record

    def interrupted(path, record):
        monkeypatch.setattr(results_module, "write_record", write_record)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_results(out, "jsonl", JOB, force=False) as results:  # noqa: PT012
        results.add(payload(0, 3), sources(0, 3), 0)
        monkeypatch.setattr(results_module, "write_record", interrupted)
        results.finish()
    with open_results(out, "jsonl", JOB, force=False) as results:
        results.pass_over(sources(0, 3))
        results.finish()
    assert indices(out) == [0, 1, 2]


def test_a_full_disk_keeps_what_is_safe(out, monkeypatch):
    begin(out, 3)
    pwrite = os.pwrite

    def full(file, data, offset):
        if len(data) > 8:
            return pwrite(file, data[:8], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError) as caught, open_results(out, "jsonl", JOB, force=False) as results:  # noqa: PT012
        results.pass_over(sources(0, 3))
        results.add(payload(3, 2), sources(3, 2), 0)
        monkeypatch.setattr(os, "pwrite", full)
        results.finish()
    assert str(caught.value) == (
        f"cannot write {out}.partial: No space left on device; the 3 rows before are kept, "
        "the same command goes on from there"
    )
    monkeypatch.setattr(os, "pwrite", pwrite)
    with open_results(out, "jsonl", JOB, force=False) as results:
        results.pass_over(sources(0, 3))
        results.add(payload(3, 2), sources(3, 2), 0)
        results.finish()
    assert indices(out) == [0, 1, 2, 3, 4]


def test_it_is_saved_while_it_grows(out, partial, monkeypatch):
    monkeypatch.setattr(results_module._JsonLines, "_max_pending_bytes", 40)
    with open_results(out, "jsonl", JOB, force=False) as results:
        results.add(payload(0, 1), sources(0, 1), 0)
        assert indices(partial) == []
        results.add(payload(1, 3), sources(1, 3), 0)
        assert indices(partial) == [0, 1, 2, 3]
        results.finish()


def test_another_jobs_result_is_refused_and_forced(out, partial):
    begin(out, 3)
    with pytest.raises(UsageError, match=r"another job is there \(engine: onnx 1, now onnx 2\); finish that one"):
        open_results(out, "jsonl", {**JOB, "engine": "onnx 2"}, force=False)
    assert indices(partial) == [0, 1, 2]
    with open_results(out, "jsonl", {**JOB, "engine": "onnx 2"}, force=True) as results:
        assert results.n_rows_before == 0
        results.add(payload(7, 1), sources(7, 1), 0)
        results.finish()
    assert indices(out) == [7]


def test_another_jobs_result_without_a_row_is_replaced(out):
    """It is what a mistyped option or an empty csv leaves."""
    begin(out, 0)
    with open_results(out, "jsonl", {**JOB, "engine": "onnx 2"}, force=False) as results:
        results.add(payload(0, 1), sources(0, 1), 0)
        results.finish()
    assert indices(out) == [0]


@pytest.mark.parametrize("now", [pytest.param(sources(1, 3), id="others"), pytest.param(sources(0, 2), id="fewer")])
def test_other_inputs_are_refused(out, partial, now):
    begin(out, 3)
    with pytest.raises(UsageError, match="are not the first 3 now; were files added or removed"):  # noqa: SIM117
        with open_results(out, "jsonl", JOB, force=False) as results:
            results.pass_over(now)
    assert indices(partial) == [0, 1, 2]


def test_two_processes_cannot_write_one_result(out):
    with open_results(out, "jsonl", JOB, force=False) as results:
        with pytest.raises(UsageError, match="another process is writing it"):
            open_results(out, "jsonl", JOB, force=False)
        results.add(payload(0, 1), sources(0, 1), 0)
        results.finish()


def shortened(partial):
    partial.write_bytes(b"x")


def without_record(partial):
    partial.with_name(f"{partial.name}.json").unlink()


def broken_record(partial):
    partial.with_name(f"{partial.name}.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(shortened, "expected at least the .* bytes that its record states, found 1", id="shorter"),
        pytest.param(without_record, "is there without its record; remove it or add --force", id="no record"),
        pytest.param(broken_record, "expected the record of an unfinished run; .*'schema' is missing", id="no JSON"),
    ],
)
def test_what_cannot_be_continued(out, partial, damage, message):
    begin(out, 3)
    damage(partial)
    with pytest.raises(UsageError, match=message):
        open_results(out, "jsonl", JOB, force=False)
    with open_results(out, "jsonl", JOB, force=True) as results:
        results.finish()
    assert indices(out) == []


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_result_that_is_there(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "parquet":
        out.mkdir()
        (out / "_bulk.json").write_text("{}", encoding="utf-8")
    else:
        out.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already; choose another name or add --force"):
        check_target(out, kind, force=False)
    check_target(out, kind, force=True)


def test_force_replaces_no_folder_of_another_kind(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"--force replaces a folder with _bulk\.json"):
        check_target(tmp_path / "photos", "parquet", force=True)
