"""The claims' file is whole, says what the papers' tables say, and is read strictly."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fer_edge.errors import InputError, MissingExtraError
from fer_edge_bench import claims_data
from fer_edge_bench.claims_data import read_claims
from fer_edge_train import zoo

CLAIMS = read_claims()
BY_ID = {claim.id: claim for claim in CLAIMS.claims}

# Typed from the papers' tables, apart from the file.
PUBLISHED = [
    ("a-training-ms", "Table 5", 16, "ms"),
    ("a-training-ms-literature-5", "Table 5", 47, "ms"),
    ("a-training-ms-literature-6", "Table 5", 200, "ms"),
    ("a-training-ms-inception-v3", "Table 5", 156, "ms"),
    ("a-ck-accuracy", "Table 6", 91.82, "%"),
    ("a-ck-angry", "Table 6", 85.52, "%"),
    ("a-ck-fear", "Table 6", 74.72, "%"),
    ("a-ck-surprised", "Table 6", 97.6, "%"),
    ("a-jaffe-accuracy", "Table 7", 77.89, "%"),
    ("a-jaffe-bored", "Table 7", 68.67, "%"),
    ("a-jaffe-happy", "Table 7", 93.33, "%"),
    ("b-parameters", "Table 3", 58_423, ""),
    ("b-poolings", "Table 3", 9, ""),
    ("b-vgg-parameters", "Table 3", 87_566_680, ""),
    ("b-resnet50-convolutions", "Table 3", 49, ""),
    ("b-densenet-parameters", "Table 3", 95_263, ""),
    ("b-file", "abstract", 872.9, "kB"),
    ("b-memory", "abstract", 0.496, "GB"),
    ("b-training-cpu", "Table 4", 16.67, "%"),
    ("b-training-cnn-memory", "Table 4", 12.5, "%"),
    ("b-memory-share", "Table 5", 3.1, "%"),
    ("b-cpu", "Table 5", 17.5, "%"),
    ("b-cpu-user", "Table 5", 21.12, "%"),
    ("b-cpu-system", "Table 5", 2.65, "%"),
    ("b-resnet50-cpu-user", "Table 5", 53.67, "%"),
    ("b-cnn-memory-share", "Table 5", 12.0, "%"),
    ("b-fer2013-test", "Table 2", 67.0, "%"),
    ("b-fer2013-validation-loss", "Table 2", 0.98, ""),
    ("b-densenet-fer2013", "Table 2", 70.91, "%"),
    ("b-fer2013-fear", "Table 1", 40, "%"),
    ("b-kdef-test", "Table 6", 87.71, "%"),
    ("c-fer2013", "abstract", 61, "%"),
    ("d-mobilenet-parameters", "Table VII", 2_299_207, ""),
    ("d-efficientnet-fc-1", "Table VIII", 81_984, ""),
    ("d-efficientnet-folds-augmented", "Table III", 70.1, "%"),
    ("d-mobilenet-folds", "Table III", 71.2, "%"),
    ("d-mobilenet-neutral", "V", 85.9, "%"),
    ("d-efficientnet-anger", "VI", 51.3, "%"),
]


@pytest.mark.parametrize(("name", "where", "value", "unit"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_a_claim_says_what_its_paper_prints(name: str, where: str, value: float, unit: str) -> None:
    claim = BY_ID[name]
    assert (claim.value, claim.unit) == (value, unit)
    assert where in claim.where


def test_every_claim_can_be_found_and_told_apart() -> None:
    assert len(BY_ID) == len(CLAIMS.claims) > 100
    for claim in CLAIMS.claims:
        assert re.fullmatch(r"[abcd](-[a-z0-9]+)+", claim.id)
        assert claim.id[0].upper() == claim.paper
        assert claim.what
        assert claim.where
    assert set(CLAIMS.papers) == {"A", "B", "C", "D"}


def test_networks_are_those_of_the_zoo() -> None:
    assert set(CLAIMS.networks) <= set(zoo.ARCHITECTURES)
    assert {claim.network for claim in CLAIMS.claims} - {None} == set(CLAIMS.networks)


@pytest.mark.parametrize(
    ("total", "parts"),
    [
        ("d-mobilenet-parameters", ["d-mobilenet-body", "d-mobilenet-fc-1", "d-mobilenet-output"]),
        (
            "d-efficientnet-parameters",
            ["d-efficientnet-body", "d-efficientnet-fc-1", "d-efficientnet-fc-2", "d-efficientnet-output"],
        ),
    ],
)
def test_parts_sum_up_as_in_tables_vii_and_viii(total: str, parts: list[str]) -> None:
    assert sum(BY_ID[name].value for name in parts) == BY_ID[total].value


def test_the_file_is_found_from_anywhere(tmp_path: Path) -> None:
    script = "from fer_edge_bench.claims_data import read_claims; print(len(read_claims().claims))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(CLAIMS.claims)


HEAD = """
[papers.A]
title = "A paper"
authors = "Somebody"
[networks.vgg]
title = "VGG"
"""
GROUP = """
[[groups]]
paper = "A"
kind = "accuracy"
network = "vgg"
data = "KDEF"
part = "test"
unit = "%"
direction = "at least"
where = "Table 1"
claims = [{ id = "a-x", what = "top-1", value = 50 }]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_groups_keys_hold_for_its_claims_unless_they_have_their_own(tmp_path: Path) -> None:
    text = HEAD + GROUP.replace("value = 50 }", 'value = 50 }, { id = "a-y", what = "z", value = 1, part = "train" }')
    first, second = read_claims(write(tmp_path, text)).claims
    assert (first.id, first.part, first.value, first.divisor, first.note) == ("a-x", "test", 50.0, 1.0, None)
    assert (second.id, second.part, second.data) == ("a-y", "train", "KDEF")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('part = "test"', 'prat = "test"', "some.toml, a-x: unknown key 'prat'; did you mean part?"),
        ("value = 50", "valeu = 50", "some.toml, a-x: unknown key 'valeu'; did you mean value?"),
        ("value = 50", 'value = "50"', "some.toml, a-x, value: expected float, found str"),
        ("value = 50", "note = 'n'", "some.toml, a-x: the key 'value' is missing"),
        ("value = 50", "value = 50, divisor = 0", "some.toml, a-x: expected a divisor above 0"),
        ("value = 50", "value = 50, field = 'parameters'", "field: a claim of the kind 'accuracy' has none"),
        ('part = "test"', "", "some.toml, a-x: part: a claim of the kind 'accuracy' needs it"),
        ('network = "vgg"', "", "some.toml, a-x: network: a claim of the kind 'accuracy' needs it"),
        (
            '"accuracy"',
            '"acuracy"',
            "kind: expected bench, training, network, accuracy, not checkable, found 'acuracy'",
        ),
        ('"at least"', '"more"', "direction: expected at most, at least, about, above, found 'more'"),
        ('paper = "A"', 'paper = "B"', "some.toml: claim a-x, paper: found 'B'; known: A"),
        ('network = "vgg"', 'network = "vg"', "some.toml: claim a-x, network: found 'vg'; did you mean vgg?"),
        (
            "value = 50 }",
            "value = 50 }, { id = 'a-x', what = '', value = 1 }",
            "some.toml: two claims have the id 'a-x'",
        ),
        ("claims =", "claim =", "some.toml, groups[0]: expected a list of claims, found none"),
        ("[[groups]]", "[[gruops]]", "some.toml: unknown key; found 'gruops'; did you mean groups?"),
        ('authors = "Somebody"', "", "some.toml, papers, A: the key 'authors' is missing"),
        ("[[groups]]", "[[groups]", "some.toml: "),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = HEAD + GROUP
    assert old in text
    with pytest.raises(InputError, match=re.escape(message)):
        read_claims(write(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize(
    ("kind", "known"),
    [("bench", "classifier_bytes"), ("training", "ms_per_image"), ("network", "parameters")],
)
def test_a_figure_that_no_record_has(tmp_path: Path, kind: str, known: str) -> None:
    group = GROUP.replace('"accuracy"', f'"{kind}"').replace('data = "KDEF"\npart = "test"', f'field = "{known}s"')
    with pytest.raises(InputError, match=f"did you mean {known}"):
        read_claims(write(tmp_path, HEAD + group))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none\.toml"):
        read_claims(tmp_path / "none.toml")


@pytest.fixture
def python_3_10(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reader think that Python has no tomllib."""
    monkeypatch.setattr(claims_data, "sys", types.SimpleNamespace(version_info=(3, 10, 14)))


@pytest.mark.usefixtures("python_3_10")
def test_tomli_reads_the_same() -> None:
    pytest.importorskip("tomli")
    assert claims_data.read_claims() == CLAIMS


@pytest.mark.usefixtures("python_3_10")
def test_without_a_reader_of_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(MissingExtraError, match=r'needs tomli on Python 3\.10; pip install "fer-edge\[bench\]"'):
        claims_data.read_claims()
