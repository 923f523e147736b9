"""Batches, buffers and names, with an engine whose arithmetic is known."""

from __future__ import annotations

import numpy as np
import pytest
from runtime_support import MODEL_BYTES, fake_engine, file_json, manifest_json, tensor_json, write_bundle

from fer_edge.bundle import Bundle
from fer_edge.engines import EngineOptions, TensorSpec
from fer_edge.errors import EngineError, IntegrityError, MissingExtraError
from fer_edge.stage import Stage, choose_variant
from fer_edge.testing import FakeSession


def three_sums(pixels):
    """Three numbers that tell one image from another."""
    flat = pixels.reshape(len(pixels), 24).astype(np.float32)
    return (np.stack([flat.sum(1), flat[:, 0], flat[:, -1]], axis=1),)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 4, 1), dtype=np.uint8)


def expected(pixels):
    return three_sums((pixels.astype(np.float32) - 128) / 128)[0]


@pytest.fixture
def bundle(tmp_path):
    return Bundle.open(write_bundle(tmp_path / "bundle"))


@pytest.mark.parametrize(
    ("count", "sizes", "batches"),
    [
        (23, (1, 4, 16), [16, 4, 1, 1, 1]),
        (23, (16, 1, 4), [16, 4, 1, 1, 1]),
        (16, (1, 4, 16), [16]),
        (40, (1, 4, 16), [16, 16, 4, 4]),
        (3, (1, 4, 16), [1, 1, 1]),
        (3, (1,), [1, 1, 1]),
        (0, (1, 4), []),
    ],
    ids=str,
)
def test_a_batch_is_cut_into_the_sizes_given(bundle, count, sizes, batches):
    engine = fake_engine(three_sums)
    stage = Stage(bundle, "classifier", engine, batch_sizes=sizes)
    pixels = images(count)
    (found,) = stage.run(pixels)
    assert found.shape == (count, 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected(pixels))
    one_by_one = [Stage(bundle, "classifier", fake_engine(three_sums)).run(pixels[i : i + 1])[0] for i in range(count)]
    np.testing.assert_array_equal(found, np.concatenate([np.empty((0, 3), np.float32), *one_by_one]))
    calls = sorted((len(array) for session in engine.sessions for (array,) in session.calls), reverse=True)
    assert calls == batches
    # One session for each size in use, made for that very shape and used again.
    assert sorted(len(session.calls[0][0]) for session in engine.sessions) == sorted(set(batches))
    assert all(session.options.input_shapes == (session.calls[0][0].shape,) for session in engine.sessions)


def test_sessions_and_buffers_are_kept(bundle):
    engine = fake_engine(three_sums)
    stage = Stage(bundle, "classifier", engine, batch_sizes=(1, 2))
    for seed in range(3):
        np.testing.assert_array_equal(stage.run(images(3, seed))[0], expected(images(3, seed)))
    two, one = engine.sessions
    for session, shape in ((two, (2, 6, 4, 1)), (one, (1, 6, 4, 1))):
        assert len(session.calls) == 3
        assert len({id(array) for (array,) in session.calls}) == 1
        assert session.calls[0][0].shape == shape


def test_forgotten_sessions_are_made_again(bundle):
    engine = fake_engine(three_sums)
    stage = Stage(bundle, "classifier", engine)
    stage.run(images(1))
    stage.forget_sessions()
    stage.run(images(1))
    assert len(engine.sessions) == 2


def test_the_engine_gets_the_checked_bytes_and_the_options(bundle):
    engine = fake_engine(three_sums)
    Stage(bundle, "classifier", engine, threads=3, reference_kernels=True).run(images(1))
    (session,) = engine.sessions
    assert session.model == MODEL_BYTES
    assert session.weights is None
    assert session.options.threads == 3
    assert session.options.reference_kernels is True


def test_the_second_file_goes_along(tmp_path):
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["weights"] = file_json("classifier.weights", b"weights")
    folder = write_bundle(tmp_path / "bundle", content)
    (folder / "classifier.weights").write_bytes(b"weights")
    engine = fake_engine(three_sums)
    Stage(Bundle.open(folder), "classifier", engine).run(images(1))
    assert engine.sessions[0].weights == b"weights"


def test_damaged_files_are_noticed_before_an_engine_sees_them(bundle):
    (bundle.path / "classifier_float32.fake").write_bytes(MODEL_BYTES.replace(b"any", b"Any"))
    engine = fake_engine(three_sums)
    with pytest.raises(IntegrityError, match="the file is damaged or was changed"):
        Stage(bundle, "classifier", engine)
    assert engine.sessions == []


def two_outputs(content, *names):
    """A P-Net with outputs of these names in the manifest."""
    variant = {
        **content["stages"]["classifier"]["variants"][0],
        "inputs": [tensor_json("pixels", [None, None, None, 3])],
        "outputs": [tensor_json(name, [None, None, None, n]) for name, n in zip(names, (1, 4), strict=True)],
    }
    content["stages"] = {
        "pnet": {**content["stages"]["classifier"], "colour": "bgr", "crop_margin": None, "variants": [variant]}
    }
    return content


def first_and_rest(pixels):
    return pixels[:, :1, :1, :1] * 0 + 1, np.repeat(pixels[:, :1, :1, :1] * 0 + 2, 4, axis=3)


PNET_INPUT = (TensorSpec(name="pixels", shape=(None, None, None, 3), dtype="float32"),)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as stated", "turned over"])
def test_outputs_come_in_the_manifests_order(tmp_path, order):
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", two_outputs(manifest_json(), "logit", "offsets")))
    specs = [TensorSpec(name=name, shape=(None,) * 4, dtype="float32") for name in ("logit", "offsets")]
    engine = fake_engine(
        lambda pixels: tuple(first_and_rest(pixels)[i] for i in order),
        PNET_INPUT,
        tuple(specs[i] for i in order),
    )
    logit, offsets = Stage(bundle, "pnet", engine).run(np.zeros((1, 20, 30, 3), np.uint8))
    assert logit.tolist() == [[[[1.0]]]]
    assert offsets.tolist() == [[[[2.0] * 4]]]


def test_an_output_that_nobody_asked_for_is_left_out(tmp_path):
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", two_outputs(manifest_json(), "logit", "offsets")))
    specs = tuple(TensorSpec(name=name, shape=(None,) * 4, dtype="float32") for name in ("more", "logit", "offsets"))
    engine = fake_engine(lambda pixels: (pixels, *first_and_rest(pixels)), PNET_INPUT, specs)
    logit, offsets = Stage(bundle, "pnet", engine).run(np.zeros((1, 20, 30, 3), np.uint8))
    assert (logit.shape, offsets.shape) == ((1, 1, 1, 1), (1, 1, 1, 4))


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param({"outputs": (TensorSpec(name="other", shape=(None, 3), dtype="float32"),)}, "other", id="name"),
        pytest.param({"outputs": (TensorSpec(name="logits", shape=(None, 3), dtype="int8"),)}, "int8", id="dtype"),
        pytest.param(
            {"inputs": (TensorSpec(name="image", shape=(None, 6, 4, 1), dtype="float32"),)}, "image", id="input's name"
        ),
        pytest.param(
            {"inputs": (TensorSpec(name="pixels", shape=(None, 6, 4, 1), dtype="uint8"),)}, "uint8", id="input's dtype"
        ),
    ],
)
def test_a_model_that_is_not_what_the_manifest_states(bundle, spec, found):
    engine = fake_engine(three_sums, **spec)
    with pytest.raises(IntegrityError) as raised:
        Stage(bundle, "classifier", engine).run(images(1))
    message = str(raised.value)
    assert message.startswith(
        "classifier_float32.fake: the manifest states pixels -> [('logits', 'float32')], the model"
    )
    assert message.endswith("; make the bundle again")
    assert found in message


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        pytest.param(
            None, (None, 4), "logits: the manifest states the shape (None, 3), the model has (None, 4)", id="labels"
        ),
        pytest.param(
            None, (1, 3, 1), "logits: the manifest states the shape (None, 3), the model has (1, 3, 1)", id="more axes"
        ),
        pytest.param((5, 4, 1), None, "pixels: the manifest states the shape (None, 6, 4, 1), the model", id="height"),
        pytest.param((6, 4, 3), None, "pixels: the manifest states the shape (None, 6, 4, 1), the model", id="colour"),
        pytest.param((None, None, None), (7, None), None, id="nothing fixed but the batch"),
        pytest.param(None, (1, 3), None, id="the same"),
    ],
)
def test_fixed_lengths_are_compared(bundle, inputs, outputs, message):
    session = FakeSession(
        inputs=(TensorSpec(name="pixels", shape=(1, *(inputs or (6, 4, 1))), dtype="float32"),),
        outputs=(TensorSpec(name="logits", shape=outputs or (None, 3), dtype="float32"),),
        compute=three_sums,
        options=EngineOptions(),
        model=b"",
        weights=None,
    )
    stage = Stage(bundle, "classifier", OneSession(session))
    if message is None:
        stage.run(images(1))
    else:
        with pytest.raises(IntegrityError) as raised:
            stage.run(images(1))
        assert str(raised.value).startswith(f"classifier_float32.fake, {message}")
        assert str(raised.value).endswith("; make the bundle again")


class OneSession:
    """An engine that hands out one session, whatever it is asked for."""

    name = "fake"

    def __init__(self, session):
        self.session = session

    def load(self, model, options, *, weights=None):
        return self.session


def test_pnets_heights_and_widths_are_free(tmp_path):
    content = two_outputs(manifest_json(), "logit", "offsets")
    for output, width in zip(content["stages"]["pnet"]["variants"][0]["outputs"], (1, 4), strict=True):
        output["shape"] = [1, 5, 5, width]
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", content))
    specs = [TensorSpec(name=name, shape=(1, 1, 1, n), dtype="float32") for name, n in (("logit", 1), ("offsets", 4))]
    Stage(bundle, "pnet", fake_engine(first_and_rest, PNET_INPUT, tuple(specs))).run(np.zeros((1, 20, 30, 3), np.uint8))
    narrow = (specs[0], TensorSpec(name="offsets", shape=(1, 1, 1, 3), dtype="float32"))
    with pytest.raises(IntegrityError, match=r"offsets: the manifest states the shape \(1, 5, 5, 4\), the model has"):
        Stage(bundle, "pnet", fake_engine(first_and_rest, PNET_INPUT, narrow)).run(np.zeros((1, 20, 30, 3), np.uint8))


@pytest.mark.parametrize(
    ("tensor", "scale", "zero_point", "message"),
    [
        pytest.param("logits", 0.25 * (1 + 1e-7), -3, None, id="the same scale but for rounding"),
        pytest.param("logits", None, None, None, id="an engine that does not say"),
        pytest.param("logits", 0.2501, -3, "the scale 0.25, the model has 0.2501", id="scale"),
        pytest.param("logits", 0.25, -2, "the zero point -3, the model has -2", id="zero point"),
        pytest.param("pixels", 1 / 255, 128, "the scale 0.0078125, the model has 0.00392", id="input's scale"),
        pytest.param("pixels", 1 / 128, 0, "the zero point 128, the model has 0", id="input's zero point"),
    ],
)
def test_what_the_engine_says_of_quantization_is_compared(tmp_path, tensor, scale, zero_point, message):
    stated = {"pixels": ([None, 6, 4, 1], "uint8", 1 / 128, 128), "logits": ([None, 3], "int8", 0.25, -3)}
    content = manifest_json()
    variant = content["stages"]["classifier"]["variants"][0]
    variant["inputs"] = [tensor_json("pixels", *stated["pixels"])]
    variant["outputs"] = [tensor_json("logits", *stated["logits"])]
    found = {name: (*rest[:2], scale, zero_point) if name == tensor else rest for name, rest in stated.items()}
    pixels, logits = (
        TensorSpec(name=name, shape=tuple(shape), dtype=dtype, scale=of_scale, zero_point=zero)
        for name, (shape, dtype, of_scale, zero) in found.items()
    )
    engine = fake_engine(lambda pixels: (np.zeros((1, 3), np.int8),), (pixels,), (logits,))
    stage = Stage(Bundle.open(write_bundle(tmp_path / "bundle", content)), "classifier", engine)
    if message is None:
        stage.run(images(1))
    else:
        with pytest.raises(IntegrityError) as raised:
            stage.run(images(1))
        assert str(raised.value).startswith(f"classifier_float32.fake, {tensor}: the manifest states {message}")
        assert str(raised.value).endswith("; make the bundle again")


def test_a_quantized_tensor_that_the_manifest_states_as_real(bundle):
    outputs = (TensorSpec(name="logits", shape=(None, 3), dtype="float32", scale=0.25, zero_point=0),)
    with pytest.raises(IntegrityError, match=r"logits: the manifest states the scale None, the model has 0\.25; make"):
        Stage(bundle, "classifier", fake_engine(three_sums, outputs=outputs)).run(images(1))


def test_quantized_outputs_become_real_numbers(tmp_path):
    content = manifest_json()
    variant = content["stages"]["classifier"]["variants"][0]
    variant["inputs"] = [tensor_json("pixels", [None, 6, 4, 1], "uint8", 1 / 128, 128)]
    variant["outputs"] = [tensor_json("logits", [None, 3], "int8", 0.25, -3)]
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", content))
    seen = []

    def compute(pixels):
        seen.append(pixels.copy())
        return (np.array([[-128, -3, 127]], np.int8),)

    engine = fake_engine(
        compute,
        (TensorSpec(name="pixels", shape=(None, 6, 4, 1), dtype="uint8", scale=1 / 128, zero_point=128),),
        (TensorSpec(name="logits", shape=(None, 3), dtype="int8", scale=0.25, zero_point=-3),),
    )
    stage = Stage(bundle, "classifier", engine)
    (found,) = stage.run(images(1))
    assert found.tolist() == [[-31.25, 0.0, 32.5]]  # (-128 + 3) / 4, (-3 + 3) / 4, (127 + 3) / 4
    assert found.dtype == np.float32
    np.testing.assert_array_equal(seen[0], images(1))  # a uint8 input with this scale takes the pixels themselves
    (stored,) = stage.run_stored(images(1))
    assert stored.dtype == np.int8
    assert stored.tolist() == [[-128, -3, 127]]


def test_pixels_of_the_wrong_shape(bundle):
    # The fake engine's session is made for the shape it is asked for, as an engine with free axes would be.
    engine = fake_engine(lambda pixels: (np.zeros((len(pixels), 3), np.float32),))
    stage = Stage(bundle, "classifier", engine)
    assert stage.input_size_wh == (4, 6)
    stage.run(images(1))
    with pytest.raises(
        EngineError, match=r"^input pixels: expected float32 \(1, 6, 4, 1\), found float32 \(1, 5, 4, 1\)$"
    ):
        engine.sessions[0].run(np.zeros((1, 5, 4, 1), np.float32))


def test_a_stage_of_any_size_has_no_input_size(tmp_path):
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", two_outputs(manifest_json(), "logit", "offsets")))
    assert Stage(bundle, "pnet", fake_engine(first_and_rest, PNET_INPUT)).input_size_wh is None


def test_batch_sizes_need_one(bundle):
    with pytest.raises(ValueError, match=r"^batch_sizes: expected 1 among them, found \(4, 16\)$"):
        Stage(bundle, "classifier", fake_engine(three_sums), batch_sizes=(4, 16))


def test_variants_are_chosen_by_engine_then_precision(tmp_path):
    content = manifest_json()
    (first,) = content["stages"]["classifier"]["variants"]
    int8 = {**first, "precision": "int8"}
    content["stages"]["classifier"]["variants"] = [{**int8, "engine": "other"}, int8, first]
    spec = Bundle.open(write_bundle(tmp_path / "bundle", content)).manifest.stages["classifier"]
    assert choose_variant(spec, "fake").precision == "int8"  # the first is the preferred one
    assert choose_variant(spec, "fake", "float32").precision == "float32"
    assert choose_variant(spec, "other").engine == "other"
    with pytest.raises(MissingExtraError) as raised:
        choose_variant(spec, "other", "float32")
    assert str(raised.value) == (
        "the bundle's classifier has no variant for other float32; it has other int8, fake int8, fake float32"
    )
    with pytest.raises(MissingExtraError, match=r"^the bundle's classifier has no variant for third; it has "):
        choose_variant(spec, "third")
