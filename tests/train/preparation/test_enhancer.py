"""Training of an enhancer on small synthetic pictures, its folder, and what it makes of faces."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from fer_edge.errors import InputError, IntegrityError, OutputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_train.datasets import FER2013_LABELS, FaceSet
from fer_edge_train.preparation.enhancer_card import enhancer_card
from fer_edge_train.preparation.enhancer_recipe import EnhancerRecipe
from fer_edge_train.preparation.haze import Haze
from fer_edge_train.preparation.image_quality import psnr_db

pytestmark = pytest.mark.host

# Haze of one kind, so that a few steps are enough to learn what undoes it.
SMALL = {
    "groups": 1,
    "blocks": 1,
    "filters": 8,
    "epochs": 3,
    "pictures_per_epoch": 64,
    "batch_size": 8,
    "peak_rate": 0.01,
    "held_out": 8,
    "haze": Haze(airlight_range=(0.9, 0.9), transmission_range=(0.5, 0.6), smooth_share=0.0),
}


def drawings(n: int, seed: int) -> np.ndarray:
    """Pictures with the contrast of faces: dark and bright ellipses on a shaded ground, uint8 (n, 48, 48, 1)."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        picture = np.linspace(*rng.integers(20, 200, 2), 48)[:, np.newaxis].repeat(48, axis=1).astype(np.uint8)
        for _ in range(6):
            center, axes = rng.integers(4, 44, 2).tolist(), rng.integers(3, 14, 2).tolist()
            cv2.ellipse(picture, center, axes, int(rng.integers(180)), 0, 360, int(rng.integers(5, 240)), -1)
        pictures.append(picture[..., np.newaxis])
    return np.stack(pictures)


def face_set(n: int, seed: int) -> FaceSet:
    return FaceSet(
        images=drawings(n, seed),
        label_indices=np.zeros(n, np.int64),
        labels=FER2013_LABELS,
        rows=np.arange(n),
    )


@pytest.fixture(scope="module")
def training(keras):
    from fer_edge_train.preparation import enhancer_training

    return enhancer_training


@pytest.fixture(scope="module")
def trained(training, tmp_path_factory):
    """A network after 24 steps, its curve, and what was told."""
    from fer_edge_train.checkpoints import Checkpoints

    told: list[str] = []
    recipe = EnhancerRecipe(**SMALL)
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run"))
    model, curve = training.train_enhancer(recipe, face_set(64, 1), face_set(8, 2), checkpoints, told.append)
    return model, curve, told


@pytest.fixture
def data(tmp_path):
    """72 training drawings as class folders, and 2 of a test split, one of which is in training too."""
    pictures = drawings(74, 3)
    pictures[73] = pictures[0]
    for i, picture in enumerate(pictures):
        folder = tmp_path / "drawings" / ("train" if i < 72 else "test") / "happy"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i:02d}.png"), picture)
    return tmp_path / "drawings"


@pytest.fixture
def run(keras, operation_by_operation):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from fer_edge_train.preparation.enhancer_run import train_enhancer_to_folder

    def run(data, out, *, force=False, restart=False, tell=lambda _: None, **changes):
        recipe = EnhancerRecipe(**{**SMALL, "epochs": 1, **changes})
        return train_enhancer_to_folder(recipe, data=data, out=out, force=force, restart=restart, tell=tell)

    return run


def test_a_few_steps_bring_hazy_pictures_nearer_to_the_clear_ones(training, trained):
    from fer_edge_train.preparation.enhancer import restore

    model, curve, told = trained
    clear = drawings(12, 99)
    hazy = training.held_out_haze(clear, EnhancerRecipe(**SMALL))
    gain_db = psnr_db(restore(model, hazy, "channels_last"), clear) - psnr_db(hazy, clear)
    assert gain_db.mean() > 2.0
    assert gain_db.min() > 0.0
    assert [set(row) for row in curve] == [{"l1", "psnr_db", "seconds"}] * 3
    assert curve[-1]["l1"] < curve[0]["l1"]
    assert told[0].startswith("epoch 1/3: L1 ")


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(training, trained, tmp_path):
    from fer_edge_train.checkpoints import Checkpoints

    def train(told):
        return training.train_enhancer(
            EnhancerRecipe(**SMALL), face_set(64, 1), face_set(8, 2), Checkpoints(tmp_path), told
        )

    class CutOffError(Exception):
        pass

    def cut_off(line):
        if line.startswith("epoch 2"):
            raise CutOffError

    with pytest.raises(CutOffError):
        train(cut_off)
    told: list[str] = []
    model, curve = train(told.append)
    assert told[0] == "continuing after 2 of 3 epochs"
    assert len(told) == 2
    for mine, whole in zip(model.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-4, atol=1e-6)
    assert [row["l1"] for row in curve] == pytest.approx([row["l1"] for row in trained[1]], rel=1e-4)


def test_a_loss_that_is_no_number_stops_the_run(training, tmp_path, monkeypatch):
    from fer_edge_train.checkpoints import Checkpoints

    recipe = EnhancerRecipe(**{**SMALL, "peak_rate": 1.0})
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(training._Run, "epoch", lambda *_: float("nan"))
    with pytest.raises(training.EnhancerDivergedError, match=r"became nan .* below 1 and add --restart$"):
        training.train_enhancer(recipe, face_set(64, 1), face_set(8, 2), checkpoints, lambda _: None)
    assert checkpoints.load_state() is None


def test_quality_of_equal_pictures_is_valid_json(training):
    clear = drawings(2, 1)
    assert training.measure_quality(clear, clear).to_json() == {"psnr_db": None, "ssim": 1.0}
    wrong = np.clip(clear.astype(int) + 5, 0, 255).astype(np.uint8)
    assert training.measure_quality(wrong, clear).to_json()["psnr_db"] == pytest.approx(34.15, abs=0.2)


def test_the_folder_its_record_and_its_card(run, data, tmp_path, capsys):
    out = tmp_path / "small"
    record = run(data, out)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "before_after.png",
        "model.keras",
        "record.json",
    ]
    assert not (tmp_path / "small.partial").exists()
    assert json.loads((out / "record.json").read_text(encoding="utf-8")) == record
    assert record["schema"] == "fer-edge/enhancer-record/1"
    assert record["model"]["sha256"] == sha256_of_file(out / "model.keras")
    assert record["model"]["parameters"] == 2_561
    # 72 drawings, less the one that the test split has, less 8 held out.
    assert {name: record["data"][name] for name in ("training_images", "held_out_images", "dropped_images")} == {
        "training_images": 63,
        "held_out_images": 8,
        "dropped_images": 1,
    }
    assert record["data"]["training_split"] == "train"
    measured = record["measured"]
    assert 5 < measured["hazy"]["psnr_db"] < 25
    assert set(measured) == {"hazy", "restored", "clear_after_network"}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert card == enhancer_card(record)
    assert f"| restored | {measured['restored']['psnr_db']:.2f} dB |" in card
    assert capsys.readouterr().out.startswith(f"{out}: {measured['hazy']['psnr_db']} dB hazy, ")
    assert str(tmp_path) not in json.dumps(record)
    picture = cv2.imread(str(out / "before_after.png"))
    assert picture.shape[0] > picture.shape[1] > 500


def test_an_unfinished_run_is_not_mixed_with_another(run, data, tmp_path):
    def cut_off(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "small", tell=cut_off)
    with pytest.raises(UsageError, match="holds an unfinished run with another peak_rate; repeat its options"):
        run(data, tmp_path / "small", peak_rate=0.02)
    (data / "train" / "happy" / "05.png").unlink()
    with pytest.raises(UsageError, match="holds an unfinished run with another data; repeat its options"):
        run(data, tmp_path / "small")
    told: list[str] = []
    run(data, tmp_path / "small", restart=True, tell=told.append)
    assert told[0].startswith("epoch 1/1")


def test_an_existing_folder_is_kept(run, data, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        run(data, tmp_path / "small")
    with pytest.raises(UsageError, match=r"--force replaces a folder with record\.json"):
        run(data, tmp_path / "small", force=True)


def test_too_few_pictures(run, data, tmp_path):
    with pytest.raises(InputError, match="more than the 71 training pictures that are held out, found 71"):
        run(data, tmp_path / "small", held_out=71)


def test_a_full_disk_keeps_the_weights(run, data, tmp_path, monkeypatch):
    from fer_edge_train.preparation import enhancer_run

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(enhancer_run, "draw_before_after", full)
        with pytest.raises(OutputError, match="No space left on device; the trained weights are kept"):
            run(data, tmp_path / "small")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawings", "small.partial"]
    told: list[str] = []
    run(data, tmp_path / "small", tell=told.append)
    assert told == ["continuing after 1 of 1 epochs"]


@pytest.fixture
def enhancer_folder(trained, tmp_path):
    model, _, _ = trained
    folder = tmp_path / "enhancer"
    folder.mkdir()
    model.save(folder / "model.keras")
    size = {"groups": 1, "blocks": 1, "filters": 8, "channels": 1}
    sha256 = sha256_of_file(folder / "model.keras")
    record = {
        "schema": "fer-edge/enhancer-record/1",
        "model": {"name": "tiny", "file": "model.keras", "sha256": sha256, **size},
    }
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def edit(folder, change) -> None:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    change(record)
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def test_an_enhancer_does_what_its_network_does(enhancer_folder, trained):
    from fer_edge_train.preparation.enhancer import Enhancer

    enhancer = Enhancer.open(enhancer_folder)
    images = drawings(70, 5)  # more than one batch
    answers = np.asarray(trained[0]((images.astype(np.float32) - 128) / 128)) * 128 + 128
    expected = np.clip(np.rint(answers), 0, 255)
    enhanced = enhancer.enhance(images)
    assert enhanced.dtype == np.uint8
    assert np.abs(enhanced - expected).max() <= 1  # a float at half a step may round either way
    assert (enhanced != expected).mean() < 0.001
    assert enhancer.to_json() == {"name": "tiny", "model_sha256": sha256_of_file(enhancer_folder / "model.keras")}

    seen: list[tuple[int, int]] = []
    faces = face_set(70, 5)
    enhanced_set = enhancer.enhance_set(faces, lambda done, n: seen.append((done, n)))
    np.testing.assert_array_equal(enhanced_set.images, enhanced)
    np.testing.assert_array_equal(enhanced_set.rows, faces.rows)
    assert seen == [(64, 70), (70, 70)]


def test_every_split_is_enhanced_before_balancing(enhancer_folder, data, tmp_path):
    from fer_edge_train.preparation.enhancer import Enhancer
    from fer_edge_train.preparation.steps import PrepareOptions, prepare_to_folder

    record = prepare_to_folder(
        data, tmp_path / "out", PrepareOptions(enhance=enhancer_folder), force=False, progress=lambda *_: None
    )
    enhanced = Enhancer.open(enhancer_folder).enhance(drawings(74, 3))
    for split, number, row in (("train", 11, 11), ("test", 72, 0)):
        picture = cv2.imread(str(tmp_path / "out" / split / "happy" / f"{row:06d}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.abs(picture.astype(int) - enhanced[number, ..., 0]).max() <= 1
    assert record["enhancer"]["name"] == "tiny"
    assert record["splits"]["train"]["digest"] != record["read"]["digests"]["train"]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        pytest.param(
            lambda folder: shutil.rmtree(folder), InputError, r"cannot read .*record\.json", id="no such folder"
        ),
        pytest.param(
            lambda folder: edit(folder, lambda record: record.update(schema="fer-edge/training-record/1")),
            InputError,
            "expected the schema fer-edge/enhancer-record/1, found 'fer-edge/training-record/1'",
            id="a classifier",
        ),
        pytest.param(
            lambda folder: edit(folder, lambda record: record["model"].pop("blocks")),
            InputError,
            "lacks or misstates 'blocks'; train the enhancer again",
            id="no size",
        ),
        pytest.param(
            lambda folder: (folder / "model.keras").write_bytes(b"other"),
            IntegrityError,
            "the record is of another file",
            id="another file",
        ),
        pytest.param(
            lambda folder: edit(folder, lambda record: record["model"].update(filters=16)),
            InputError,
            "expected an FFA-Net of .*found another network",
            id="another size",
        ),
    ],
)
def test_a_folder_that_is_no_enhancer(keras, enhancer_folder, spoil, error, message):
    from fer_edge_train.preparation.enhancer import Enhancer

    spoil(enhancer_folder)
    with pytest.raises(error, match=message):
        Enhancer.open(enhancer_folder)


def test_colour_pictures_need_a_colour_enhancer(enhancer_folder, data, tmp_path):
    from fer_edge_train.preparation.enhancer import Enhancer
    from fer_edge_train.preparation.steps import PrepareOptions, prepare_to_folder

    with pytest.raises(InputError, match="tiny: expected pictures of 1 channels, found 3"):
        Enhancer.open(enhancer_folder).enhance(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match=r"enhances pictures of 1 channels, found 3 asked for; give --channels 1"):
        prepare_to_folder(data, tmp_path / "out", PrepareOptions(enhance=enhancer_folder, channels=3), force=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, r"channels: expected 1 \(gray\) or 3 \(colour\), found 2"),
        ({"filters": 12}, "filters: expected a multiple of 8, found 12"),
        ({"groups": 0}, "groups: expected 1 to 16, found 0"),
        ({"epochs": 0}, "epochs: expected 1 to 100000, found 0"),
        ({"held_out": 0}, "held_out: expected 1 to 100000, found 0"),
        ({"peak_rate": 0.0}, "peak_rate: expected 1e-08 to 1, found 0"),
    ],
)
def test_recipes_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        EnhancerRecipe(**options)


def test_a_recipe_knows_in_what_another_differs():
    other = EnhancerRecipe(epochs=2, haze=Haze(clear_share=0.3)).to_json()
    assert EnhancerRecipe().differences(json.loads(json.dumps(other))) == ["epochs", "haze"]
    assert EnhancerRecipe().differences(json.loads(json.dumps(EnhancerRecipe().to_json()))) == []
