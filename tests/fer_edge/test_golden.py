"""Golden vectors replayed: what counts as exact, within tolerance and different, and what cannot be run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from runtime_support import (
    ENGINE_NAMES,
    GOLDEN_OUTPUTS,
    GOLDEN_PIXELS,
    fake_engine,
    file_json,
    first_three,
    golden_manifest_json,
    run_python,
    tensor_json,
    write_bundle,
    write_golden_bundle,
)

from fer_edge.bundle import Bundle
from fer_edge.engines import TensorSpec, load_engine
from fer_edge.errors import EngineError, IntegrityError, MissingExtraError
from fer_edge.golden import NotReplayed, Replay, check_replays, replay_golden, run_images
from fer_edge.stage import Stage
from fer_edge.testing import FakeEngine

RANGE = 1.5  # of GOLDEN_OUTPUTS


def off_by(*differences):
    """A model that gives the golden outputs, its first values changed in every image."""

    def compute(pixels):
        (outputs,) = first_three(pixels)
        outputs[:, : len(differences)] += np.array(differences, np.float32)
        return (outputs,)

    return compute


@pytest.fixture
def use_engine(monkeypatch):
    """Function that makes an engine, or an error, what every variant of a bundle gets."""

    def use(engine):
        def load(name):
            if isinstance(engine, Exception):
                raise engine
            return engine

        monkeypatch.setattr("fer_edge.golden.load_engine", load)
        return engine

    return use


@pytest.fixture
def bundle(tmp_path):
    """Function that writes and opens a bundle whose one variant has these golden keys."""

    def make(**golden):
        content = golden_manifest_json()
        content["stages"]["classifier"]["variants"][0]["golden"].update(golden)
        return Bundle.open(write_golden_bundle(tmp_path / "bundle", content))

    return make


def test_equal_bytes_are_exact(bundle, use_engine):
    engine = use_engine(fake_engine(first_three))
    opened = bundle()
    (replay,) = replay_golden(opened)
    (variant,) = opened.manifest.stages["classifier"].variants
    assert replay == Replay(
        stage="classifier",
        variant=variant,
        engine_version="fake 0",
        reference_kernels=False,
        tolerance=0.0,
        n_values=6,
        n_different=0,
        largest_difference=0.0,
    )
    assert replay.outcome == "exact"
    assert replay.to_text() == "classifier  fake      float32      exact"
    check_replays(opened, [replay])
    # One image at a time, as a camera's faces come.
    (session,) = engine.sessions
    assert [array.shape for (array,) in session.calls] == [(1, 6, 4, 1)] * 2


@pytest.mark.parametrize(
    ("differences", "tolerance", "outcome"),
    [
        ((0.375,), 0.25, "within tolerance"),
        ((-0.375,), 0.25, "within tolerance"),
        ((0.376,), 0.25, "differs"),
        ((0, -0.376), 0.25, "differs"),
        ((2**-20,), 0.0, "differs"),
        ((RANGE,), 1.0, "within tolerance"),
        ((1.01 * RANGE,), 1.0, "differs"),
        ((np.nan,), 1.0, "differs"),
        ((np.inf,), 1.0, "differs"),
        ((0, 0, -np.inf), 1.0, "differs"),
    ],
    ids=str,
)
def test_a_difference_is_a_share_of_the_range(bundle, use_engine, differences, tolerance, outcome):
    use_engine(fake_engine(off_by(*differences)))
    opened = bundle(tolerance=tolerance)
    (replay,) = replay_golden(opened)
    largest = float(np.abs(np.array(differences, np.float64)).max())
    assert replay.outcome == outcome
    assert (replay.n_values, replay.n_different) == (6, 2)
    assert replay.largest_difference == pytest.approx(largest / RANGE if np.isfinite(largest) else np.inf, rel=1e-6)
    row = json.loads(json.dumps(replay.to_json(), allow_nan=False))
    assert row["largest_difference"] == (replay.largest_difference if np.isfinite(largest) else None)
    if outcome == "differs":
        with pytest.raises(IntegrityError):
            check_replays(opened, [replay])
    else:
        check_replays(opened, [replay])


def test_each_output_has_its_own_range(tmp_path, use_engine):
    """An output of small numbers must not hide behind one of large numbers."""
    content = golden_manifest_json()
    stage = {**content["stages"]["classifier"], "colour": "bgr", "crop_margin": None}
    variant = stage["variants"][0]
    variant["inputs"] = [tensor_json("pixels", [None, 24, 24, 3])]
    variant["outputs"] = [tensor_json("logit", [None, 1]), tensor_json("offsets", [None, 4])]
    pixels = np.zeros((2, 24, 24, 3), np.uint8)
    pixels[1] = 255
    logits, offsets = np.array([[-100], [100]], np.float32), np.array([[0, 0, 0, 0.5]] * 2, np.float32)
    data = b"".join(array.tobytes() for array in (pixels, logits, offsets))
    stage["golden"] = {"offset": 0, "shape": list(pixels.shape), "output_shapes": [[2, 1], [2, 4]]}
    variant["golden"] = {"offset": pixels.nbytes, "reference_kernels": False, "tolerance": 0.1}
    content.update(labels=[], stages={"rnet": stage}, golden=file_json("golden.bin", data))
    opened = Bundle.open(write_golden_bundle(tmp_path / "bundle", content, data))

    def compute(image):
        is_white = int(image[0, 0, 0, 0] > 0)
        return logits[is_white : is_white + 1], offsets[:1] + np.float32(0.1)

    use_engine(
        fake_engine(
            compute,
            (TensorSpec(name="pixels", shape=(None, 24, 24, 3), dtype="float32"),),
            tuple(
                TensorSpec(name=name, shape=(None, n), dtype="float32") for name, n in (("logit", 1), ("offsets", 4))
            ),
        )
    )
    (replay,) = replay_golden(opened)
    assert (replay.outcome, replay.n_values, replay.n_different) == ("differs", 10, 8)
    assert replay.largest_difference == pytest.approx(0.2, rel=1e-6)


def test_outputs_without_a_range_let_nothing_through(bundle, use_engine, tmp_path):
    values = np.full((2, 3), 7, np.float32)
    data = GOLDEN_PIXELS.tobytes() + values.tobytes()
    content = golden_manifest_json(data)
    content["stages"]["classifier"]["variants"][0]["golden"]["tolerance"] = 1.0
    opened = Bundle.open(write_golden_bundle(tmp_path / "bundle", content, data))
    use_engine(fake_engine(lambda pixels: (values[:1].copy(),)))
    assert [replay.outcome for replay in replay_golden(opened)] == ["exact"]
    use_engine(fake_engine(lambda pixels: (values[:1] + np.float32(1e-3),)))
    assert [replay.outcome for replay in replay_golden(opened)] == ["differs"]


def test_stored_values_are_compared_as_real_ones(tmp_path, use_engine):
    """One step of an int8 output is its scale; the bytes are as the model's file stores them."""
    stored = np.array([[-128, 0, 127], [5, 6, 7]], np.int8)
    data = GOLDEN_PIXELS.tobytes() + stored.tobytes()
    content = golden_manifest_json(data)
    variant = content["stages"]["classifier"]["variants"][0]
    variant["outputs"] = [tensor_json("logits", [None, 3], "int8", 0.25, -4)]
    variant["golden"]["tolerance"] = 3 / 255
    opened = Bundle.open(write_golden_bundle(tmp_path / "bundle", content, data))
    found = stored.copy()
    found[1, 2] += 3
    found[0, 1] -= 1
    answers = iter(np.split(found, 2))
    spec = TensorSpec(name="logits", shape=(None, 3), dtype="int8")
    use_engine(fake_engine(lambda pixels: (next(answers),), outputs=(spec,)))
    (replay,) = replay_golden(opened)
    assert (replay.outcome, replay.n_different) == ("within tolerance", 2)
    assert replay.largest_difference == pytest.approx(3 / 255)


class TwoKernels(FakeEngine):
    """An engine with kernels of two kinds."""

    def __init__(self, reference, own):
        engine = fake_engine(own)
        super().__init__(inputs=engine.inputs, outputs=engine.outputs, compute=own)
        self.reference, self.own = reference, own

    def load(self, model, options, *, weights=None):
        self.compute = self.reference if options.reference_kernels else self.own
        return super().load(model, options, weights=weights)


@pytest.mark.parametrize(
    ("reference", "own", "outcomes"),
    [
        (first_three, first_three, ["exact", "exact"]),
        (first_three, off_by(0.2), ["exact", "within tolerance"]),
        (first_three, off_by(1.0), ["exact", "differs"]),
        (off_by(2**-20), first_three, ["differs", "exact"]),
    ],
    ids=["equal", "own a little off", "own far off", "reference a little off"],
)
def test_reference_kernels_must_be_exact_and_the_own_may_be_off(bundle, use_engine, reference, own, outcomes):
    use_engine(TwoKernels(reference, own))
    opened = bundle(reference_kernels=True, tolerance=0.25)
    replays = list(replay_golden(opened))
    assert [replay.outcome for replay in replays] == outcomes
    assert [(replay.reference_kernels, replay.tolerance) for replay in replays] == [(True, 0.0), (False, 0.25)]
    assert ", reference kernels" in replays[0].to_text()
    assert "reference" not in replays[1].to_text()


# What is said.


def test_what_is_said_of_a_difference(bundle, use_engine):
    use_engine(fake_engine(off_by(0.5)))
    opened = bundle(tolerance=0.25)
    (replay,) = replay_golden(opened)
    assert replay.to_text() == (
        "classifier  fake      float32      differs: 2 of 6 values are off by up to 0.33 of their range "
        "(let through: 0.25)"
    )
    with pytest.raises(IntegrityError) as raised:
        check_replays(opened, [replay, replay, replay])
    assert str(raised.value) == (
        f"{opened.path}: classifier fake float32: expected the golden outputs within 0.25 of their range, found that "
        "2 of 6 values are off by up to 0.33 of their range in fake 0; use another variant here, or fake 0, with which "
        "the bundle was made; 2 more differ"
    )


def test_what_is_said_of_bytes_that_are_not_the_golden_ones(bundle, use_engine):
    use_engine(TwoKernels(off_by(np.nan), first_three))
    opened = bundle(reference_kernels=True, tolerance=0.25)
    with pytest.raises(IntegrityError) as raised:
        check_replays(opened, list(replay_golden(opened)))
    assert str(raised.value) == (
        f"{opened.path}: classifier fake float32: expected the golden outputs byte for byte, found that 2 of 6 values "
        "are off by up to inf of their range in fake 0 with its reference kernels; use another variant here, or "
        "fake 0, with which the bundle was made"
    )


def test_outputs_of_another_shape_are_no_outputs_of_this_model(bundle, use_engine):
    opened = bundle()
    use_engine(fake_engine(lambda pixels: (np.zeros((2, 3), np.float32),)))
    with pytest.raises(IntegrityError) as raised:
        list(replay_golden(opened))
    assert str(raised.value) == (
        f"{opened.path}: classifier fake float32: expected outputs float32 (2, 3), found float32 (4, 3); "
        "make the bundle again"
    )


# What cannot be run.


def test_an_engine_that_is_missing_is_skipped(bundle, use_engine):
    use_engine(MissingExtraError('the engine fake cannot be imported; pip install "fer-edge[fake]"'))
    opened = bundle()
    (item,) = replay_golden(opened)
    assert isinstance(item, NotReplayed)
    assert item.outcome == "skipped"
    assert item.to_text() == (
        'classifier  fake      float32      skipped: the engine fake cannot be imported; pip install "fer-edge[fake]"'
    )
    with pytest.raises(MissingExtraError) as raised:
        check_replays(opened, [item])
    assert str(raised.value) == (
        f"{opened.path}: expected an engine that runs one of the variants; the engine fake cannot be imported; "
        'pip install "fer-edge[fake]"'
    )


def test_an_engine_that_nobody_registers_here_is_skipped(bundle):
    (item,) = replay_golden(bundle())
    assert item.outcome == "skipped"
    assert "no engine is named 'fake'" in item.to_json()["reason"]


def test_one_engine_that_runs_is_enough(bundle, use_engine):
    opened = bundle()
    use_engine(MissingExtraError("not there"))
    skipped = list(replay_golden(opened))
    use_engine(fake_engine(first_three))
    check_replays(opened, [*skipped, *replay_golden(opened)])


def fails(pixels):
    raise EngineError("fake failed: no such operation")


def test_an_engine_that_fails_is_no_success(bundle, use_engine):
    opened = bundle()
    use_engine(fake_engine(first_three))
    whole = list(replay_golden(opened))
    use_engine(fake_engine(fails))
    (item,) = replay_golden(opened)
    assert item.outcome == "failed"
    with pytest.raises(EngineError) as raised:
        check_replays(opened, [item, *whole])
    assert str(raised.value) == f"{opened.path}: classifier fake float32: fake failed: no such operation"
    # A wrong answer is worse than none.
    use_engine(fake_engine(off_by(0.5)))
    with pytest.raises(IntegrityError):
        check_replays(opened, [item, *replay_golden(opened)])


def test_an_engine_that_fails_does_not_keep_the_others_from_running(tmp_path, use_engine):
    content = golden_manifest_json()
    variants = content["stages"]["classifier"]["variants"]
    variants.append({**variants[0], "precision": "int8"})
    opened = Bundle.open(write_golden_bundle(tmp_path / "bundle", content))
    answers = iter([fails, first_three, first_three])
    use_engine(fake_engine(lambda pixels: next(answers)(pixels)))
    assert [item.outcome for item in replay_golden(opened)] == ["failed", "exact"]


def test_a_bundle_without_golden_vectors(tmp_path):
    opened = Bundle.open(write_bundle(tmp_path / "bundle"))
    with pytest.raises(MissingExtraError) as raised:
        list(replay_golden(opened))
    assert str(raised.value) == f"{opened.path} has no golden vectors; make the bundle again with fer-edge convert"


def test_damaged_files_are_noticed_before_they_are_run(bundle, use_engine):
    engine = use_engine(fake_engine(first_three))
    opened = bundle()
    (opened.path / "golden.bin").write_bytes(bytes(72))
    with pytest.raises(IntegrityError, match=r"golden\.bin: expected SHA-256"):
        list(replay_golden(opened))
    assert engine.sessions == []


# The default bundle.


@pytest.fixture(scope="module")
def default_replays(default_bundle):
    return [item for item in replay_golden(default_bundle) if isinstance(item, Replay)]


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_the_default_bundle_computes_here_what_it_computed_where_it_was_made(default_bundle, default_replays, engine):
    replays = [item for item in default_replays if item.variant.engine == engine]
    if not replays:
        pytest.skip(f"the engine {engine} is not installed")
    check_replays(default_bundle, replays)
    assert {item.stage for item in replays} == {"pnet", "rnet", "onet", "classifier"}
    assert all(item.n_different == 0 or item.largest_difference > 0 for item in replays)


@pytest.mark.parametrize(
    ("engine", "reference_kernels"), [("onnx", False), ("litert", True)], ids=["onnx", "litert's reference kernels"]
)
def test_the_int8_classifier_is_compared_byte_for_byte(default_replays, engine, reference_kernels):
    replays = [
        item
        for item in default_replays
        if (item.stage, item.variant.engine, item.variant.precision) == ("classifier", engine, "int8")
    ]
    if not replays:
        pytest.skip(f"the engine {engine} is not installed")
    assert (replays[0].reference_kernels, replays[0].tolerance, replays[0].outcome) == (reference_kernels, 0.0, "exact")
    assert [item.reference_kernels for item in replays[1:]] == [False] * reference_kernels


def test_golden_vectors_are_not_the_same_for_every_image(default_bundle):
    """A comparison that could not fail would be worth nothing."""
    data = default_bundle.read(default_bundle.manifest.golden)

    def rows(offset, shape, dtype):
        array = np.frombuffer(data, dtype, int(np.prod(shape)), offset)
        return np.unique(array.reshape(shape[0], -1), axis=0)

    for spec in default_bundle.manifest.stages.values():
        assert len(rows(spec.golden.offset, spec.golden.shape, np.uint8)) == spec.golden.shape[0]
        for variant in spec.variants:
            outputs = rows(variant.golden.offset, spec.golden.output_shapes[0], variant.outputs[0].dtype)
            assert len(outputs) == spec.golden.shape[0]
            assert len(np.unique(outputs)) > 1


# Of 64, for of 16 it is chance what they hit; other bits are names and layout, or weights that decide nothing here.
@pytest.mark.parametrize(("name", "n_caught"), [("classifier_int8.onnx", 52), ("classifier_int8.tflite", 48)])
def test_flipped_bits_that_load_are_caught(tmp_path, default_bundle, name, n_caught):
    """As if the digest had been taken after the damage: the outputs are then another model's."""
    engine_name = {"onnx": "onnx", "tflite": "litert"}[name.partition(".")[2]]
    try:
        load_engine(engine_name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    content = json.loads(default_bundle.manifest_bytes)
    stage = content["stages"]["classifier"]
    stage["variants"] = [variant for variant in stage["variants"] if variant["model"]["file"] == name]
    content["stages"] = {"classifier": stage}
    whole = (default_bundle.path / name).read_bytes()
    shutil.copy(default_bundle.path / "golden.bin", tmp_path)

    def outcomes(model):
        (tmp_path / name).write_bytes(model)
        stage["variants"][0]["model"] = file_json(name, model)
        (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        return {item.outcome for item in replay_golden(Bundle.open(tmp_path))}

    assert outcomes(whole) <= {"exact", "within tolerance"}
    caught = 0
    for position in range(len(whole) // 128, len(whole), len(whole) // 64):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        try:
            caught += bool(outcomes(bytes(damaged)) & {"differs", "failed"})
        except IntegrityError:  # a tensor's name or scale is no longer the manifest's
            caught += 1
    assert caught >= n_caught


CODE = """
import sys
from fer_edge.assets import demo_photo_path
from fer_edge.cli import main
code = main(["run", str(demo_photo_path()), "--text"])
print(code, "fer_edge.golden" in sys.modules)
"""


def test_running_a_pipeline_does_not_load_what_replays(pipelines):
    pipelines("litert")
    done = run_python(CODE)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr


def test_images_are_run_one_by_one(tmp_path):
    stage = Stage(Bundle.open(write_bundle(tmp_path / "bundle")), "classifier", fake_engine(first_three))
    (outputs,) = run_images(stage, GOLDEN_PIXELS)
    np.testing.assert_array_equal(outputs, GOLDEN_OUTPUTS)
