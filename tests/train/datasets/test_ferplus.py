from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.datasets.ferplus import FERPLUS_COLUMNS, FerPlusVotes, read_ferplus_votes, votes_for

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def test_votes_are_those_of_the_file(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(f"{HEADER}\nTraining,fer0000000.png,4,0,0,1,3,2,0,0,0,0\nPublicTest,,0,0,0,0,0,0,0,0,0,10\n")
    table = read_ferplus_votes(path)
    assert table.votes.dtype == np.int64
    assert table.usages.tolist() == ["Training", "PublicTest"]
    assert table.votes.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]]
    assert tuple(HEADER.split(",")[2:]) == FERPLUS_COLUMNS


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("Training,a,1,2", "row 2: expected 12 columns, found 4", id="too few columns"),
        pytest.param("", "row 2: expected 12 columns, found 0", id="empty line"),
        pytest.param(
            "Training,a,0,0,x,0,0,0,0,0,0,0",
            "row 2, column surprise: expected an integer from 0 to 10, found 'x'",
            id="not a number",
        ),
        pytest.param(
            "Training,a,0,0,0,0,0,0,0,0,0,11",
            "row 2, column NF: expected an integer from 0 to 10, found '11'",
            id="eleven votes of ten",
        ),
        pytest.param(
            "Training,a,-1,0,0,0,0,0,0,0,0,0",
            "row 2, column neutral: expected an integer from 0 to 10, found '-1'",
            id="negative",
        ),
        pytest.param(
            f"Training,a,{'1' * 5000},0,0,0,0,0,0,0,0,0",
            f"row 2, column neutral: expected an integer from 0 to 10, found '{'1' * 20}'",
            id="5000 digits",
        ),
    ],
)
def test_a_malformed_row_is_named(tmp_path, row, message):
    path = tmp_path / "votes.csv"
    path.write_text(f"{HEADER}\nTraining,a,4,0,0,1,3,2,0,0,0,0\n{row}\n")
    with pytest.raises(InputError) as caught:
        read_ferplus_votes(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {path}: No such file or directory; expected FER+'s fer2013new.csv"),
        (b"", f"{{path}}: expected the header {HEADER!r}, found ''"),
        (b"emotion,pixels,Usage\n", f"{{path}}: expected the header {HEADER!r}, found 'emotion,pixels,Usage'"),
        (
            b"\xff\n",
            "cannot read {path}: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte; "
            "expected FER+'s fer2013new.csv",
        ),
    ],
    ids=["missing", "empty", "another csv", "not utf-8"],
)
def test_an_unreadable_file_says_why(tmp_path, content, message):
    path = tmp_path / "votes.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_ferplus_votes(path)
    assert str(caught.value) == message.format(path=path)


def rows_of_the_csv(rows: list[int], sources: list[str] | None = None) -> FaceSet:
    return FaceSet(
        images=np.zeros((len(rows), 2, 2, 1), dtype=np.uint8),
        label_indices=np.zeros(len(rows), dtype=np.int64),
        labels=("a",),
        rows=np.array(rows, dtype=np.int64),
        sources=None if sources is None else np.array(sources, dtype=np.str_),
    )


def test_votes_are_joined_by_row():
    votes = np.arange(50).reshape(5, 10)
    table = FerPlusVotes(votes=votes, usages=np.array(["Training", "PublicTest", "Training", "x", "Training"]))
    joined = votes_for(rows_of_the_csv([4, 0, 2]), table, "v.csv", usage="Training")
    assert joined.tolist() == votes[[4, 0, 2]].tolist()
    assert votes_for(rows_of_the_csv([]), table, "v.csv", usage="Training").shape == (0, 10)


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        (
            rows_of_the_csv([0, 5]),
            "v.csv: expected a row for each row of the data (at least 6), found 5; "
            "it must be the FER+ file of the same fer2013.csv",
        ),
        (
            rows_of_the_csv([0, 1], ["happy/1.png", "sad/2.png"]),
            "v.csv: expected faces from FER-2013's csv, to which the votes are joined by row, found happy/1.png",
        ),
        (
            rows_of_the_csv([0, 3, 1]),
            "v.csv: row 4: expected the usage Training as in the data, found PublicTest; "
            "it must be the FER+ file of the same fer2013.csv, whole and in its order",
        ),
    ],
    ids=["too few votes", "pictures that are files", "another order"],
)
def test_votes_that_cannot_be_joined_are_refused(faces, message):
    usages = np.array([*["Training"] * 3, *["PublicTest"] * 2])
    table = FerPlusVotes(votes=np.zeros((5, 10), np.int64), usages=usages)
    with pytest.raises(InputError) as caught:
        votes_for(faces, table, "v.csv", usage="Training")
    assert str(caught.value) == message


@pytest.mark.data
def test_the_published_file(data_folder):
    table = read_ferplus_votes(data_folder / "fer2013" / "fer2013new.csv")
    votes = table.votes
    assert (table.usages[:28_709] == "Training").all()
    assert (table.usages[28_709:32_298] == "PublicTest").all()
    assert votes.shape[1] == 10
    assert len(votes) >= 28_709 + 3_589  # PrivateTest may be kept apart
    assert votes.sum(axis=1).max() == 10
    assert votes[0].tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
