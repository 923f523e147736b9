"""Golden vectors made: what goes into the file, how each variant is to be compared, and what the pictures show."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from runtime_support import (
    GOLDEN_BYTES,
    GOLDEN_OUTPUTS,
    GOLDEN_PIXELS,
    fake_engine,
    first_three,
    installed_engine,
    manifest_json,
    write_bundle,
)

from fer_edge.bundle import Bundle
from fer_edge.errors import EngineError, GateError, IntegrityError
from fer_edge.golden import check_replays, replay_golden
from fer_edge.stage import Stage
from fer_edge_convert import golden as module
from fer_edge_convert.golden import PHOTO_ATTRIBUTION, add_golden, photo_pixels

WORK_OF = "nobody's pixels"


@pytest.fixture
def engines(monkeypatch):
    """Function that makes functions of the inputs what the engines of these names compute."""

    def use(**computes):
        made = {name: fake_engine(compute) for name, compute in computes.items()}
        for name, engine in made.items():
            engine.name = name
        for place in ("fer_edge.golden", "fer_edge_convert.golden"):
            monkeypatch.setattr(f"{place}.load_engine", made.__getitem__)
        return made

    return use


def write_variants(folder, *variants):
    """A bundle whose classifier has these variants, as changes of that of `manifest_json()`."""
    content = manifest_json()
    (first,) = content["stages"]["classifier"]["variants"]
    content["stages"]["classifier"]["variants"] = [{**first, **changes} for changes in variants]
    return write_bundle(folder, content)


def finish(folder, manifest):
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return Bundle.open(folder)


def test_what_is_written_is_replayed(tmp_path, engines):
    made = engines(fake=first_three)
    folder = write_bundle(tmp_path / "bundle")
    before = Bundle.open(folder).manifest
    manifest = add_golden(folder, {"classifier": GOLDEN_PIXELS}, attribution=WORK_OF)
    assert (folder / "golden.bin").read_bytes() == GOLDEN_BYTES
    # The manifest is the caller's to write.
    assert Bundle.open(folder).manifest == before
    bundle = finish(folder, manifest)
    assert bundle.verify() == 2
    assert [replay.outcome for replay in replay_golden(bundle)] == ["exact"]
    assert all(array.shape == (1, 6, 4, 1) for session in made["fake"].sessions for (array,) in session.calls)

    stage = manifest.stages["classifier"]
    assert (stage.golden.offset, stage.golden.shape, stage.golden.output_shapes) == (0, (2, 6, 4, 1), ((2, 3),))
    (variant,) = stage.variants
    assert (variant.golden.offset, variant.golden.reference_kernels, variant.golden.tolerance) == (48, False, 1e-4)
    assert manifest.attribution == (*before.attribution, WORK_OF)
    without = {"golden": None, "attribution": before.attribution, "stages": before.stages}
    assert replace(manifest, **without) == before


def test_golden_vectors_are_made_anew(tmp_path, engines):
    engines(fake=first_three)
    folder = write_bundle(tmp_path / "bundle")
    first = add_golden(folder, {"classifier": GOLDEN_PIXELS[::-1]}, attribution=WORK_OF)
    finish(folder, first)
    second = add_golden(folder, {"classifier": GOLDEN_PIXELS}, attribution=WORK_OF)
    assert (folder / "golden.bin").read_bytes() == GOLDEN_BYTES
    assert second.attribution == first.attribution
    assert finish(folder, second).verify() == 2


def test_equal_outputs_are_stored_once(tmp_path, engines):
    engines(a=first_three, b=lambda pixels: (-first_three(pixels)[0],), c=first_three)
    folder = write_variants(tmp_path / "bundle", {"engine": "a"}, {"engine": "b"}, {"engine": "c"})
    manifest = add_golden(folder, {"classifier": GOLDEN_PIXELS}, attribution=WORK_OF)
    offsets = [variant.golden.offset for variant in manifest.stages["classifier"].variants]
    assert offsets == [48, 72, 48]
    assert (folder / "golden.bin").read_bytes() == GOLDEN_BYTES + (-GOLDEN_OUTPUTS).tobytes()
    check_replays(Bundle.open(folder), list(replay_golden(finish(folder, manifest))))


@pytest.mark.parametrize(
    ("stage", "engine", "precision", "recipe", "reference_kernels", "tolerance"),
    [
        ("classifier", "onnx", "int8", "static_wi8_ai8", False, 0.0),
        ("classifier", "litert", "int8", "static_wi8_ai8", True, 0.2),
        ("classifier", "openvino", "int8", "static_wi8_ai8", False, 0.2),
        ("classifier", "onnx", "int8", "static_wi8_ai8_mixed", False, 0.2),
        ("classifier", "litert", "int8", "static_wi8_ai8_mixed", False, 0.2),
        ("onet", "onnx", "int8", "static_wi8_ai8", False, 0.2),
        ("classifier", "litert", "int16", "static_wi8_ai16", False, 0.2),
        ("classifier", "litert", "dynamic-int8", "dynamic_wi8_afp32", False, 0.2),
        ("classifier", "onnx", "float16", "weight_only_wf16_afp32", False, 0.05),
        ("pnet", "onnx", "float32", None, False, 1e-4),
        ("classifier", "openvino", "float32", None, False, 1e-4),
    ],
)
def test_how_a_variant_is_compared(tmp_path, stage, engine, precision, recipe, reference_kernels, tolerance):
    folder = write_variants(tmp_path / "bundle", {"engine": engine, "precision": precision, "recipe": recipe})
    (variant,) = Bundle.open(folder).manifest.stages["classifier"].variants
    assert module._comparison(stage, variant, True) == (reference_kernels, tolerance)


def test_a_file_with_other_operators_is_not_asked_for_every_byte(tmp_path):
    integer = {"engine": "onnx", "precision": "int8", "recipe": "static_wi8_ai8"}
    (variant,) = Bundle.open(write_variants(tmp_path / "bundle", integer)).manifest.stages["classifier"].variants
    assert module._comparison("classifier", variant, False) == (False, 0.2)


def test_golden_outputs_are_those_of_reference_kernels_where_these_are_exact(tmp_path, engines, monkeypatch):
    monkeypatch.setattr(module, "is_exact", lambda _: True)  # what the engines here run is no ONNX
    made = engines(litert=first_three, onnx=first_three)
    recipe = {"precision": "int8", "recipe": "static_wi8_ai8"}
    folder = write_variants(tmp_path / "bundle", {"engine": "litert", **recipe}, {"engine": "onnx", **recipe})
    add_golden(folder, {"classifier": GOLDEN_PIXELS}, attribution=WORK_OF)
    kernels = {name: [s.options.reference_kernels for s in engine.sessions] for name, engine in made.items()}
    assert kernels == {"litert": [True], "onnx": [False]}


def fail(pixels):
    raise EngineError("fake failed: no such operation")


@pytest.mark.parametrize(
    ("pixels", "compute", "limit_bytes", "error", "message"),
    [
        pytest.param(
            GOLDEN_PIXELS[:, :5], first_three, 72, IntegrityError, "states the shape (None, 6, 4, 1)", id="size"
        ),
        pytest.param(
            GOLDEN_PIXELS, first_three, 71, IntegrityError, "golden: bytes: expected 1 to 71, found 72", id="too many"
        ),
        pytest.param(GOLDEN_PIXELS, fail, 72, EngineError, "fake failed: no such operation", id="engine"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    tmp_path, engines, monkeypatch, pixels, compute, limit_bytes, error, message
):
    engines(fake=compute)
    monkeypatch.setattr("fer_edge.bundle.manifest.MAX_GOLDEN_BYTES", limit_bytes)
    folder = write_bundle(tmp_path / "bundle")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(error) as raised:
        add_golden(folder, {"classifier": pixels}, attribution=WORK_OF)
    assert message in str(raised.value)
    assert sorted(path.name for path in folder.iterdir()) == before


# The pictures.


@pytest.fixture(scope="module")
def pictures(default_bundle):
    installed_engine(default_bundle.manifest.stages["pnet"].variants[0].engine)
    return photo_pixels(default_bundle)


def test_every_stage_gets_pixels_that_it_takes(default_bundle, pictures):
    assert pictures.keys() == default_bundle.manifest.stages.keys()
    assert all(array.dtype == np.uint8 for array in pictures.values())
    assert pictures["rnet"].shape == (8, 24, 24, 3)
    assert pictures["onet"].shape == (8, 48, 48, 3)
    assert pictures["classifier"].shape == (8, 48, 48, 1)
    n_images, height, width, channels = pictures["pnet"].shape
    assert (n_images, channels) == (1, 3)
    assert min(height, width) >= 12
    for array in pictures.values():
        assert len({image.tobytes() for image in array}) == len(array)


def test_the_pictures_are_the_same_each_time(default_bundle, pictures):
    for name, array in photo_pixels(default_bundle).items():
        np.testing.assert_array_equal(array, pictures[name])


@pytest.mark.parametrize("name", ["pnet", "rnet", "onet"])
def test_the_detector_sees_faces_and_what_is_none(default_bundle, pictures, name):
    engine = installed_engine(default_bundle.manifest.stages[name].variants[0].engine)
    logits = Stage(default_bundle, name, engine).run(pictures[name])[0]
    assert logits.max() > 2
    assert logits.min() < -2


def test_the_default_bundle_holds_these_pictures(default_bundle, pictures):
    """And none of a data set's, whose licence forbids it. R- and O-Net's depend on P-Net's last digits."""
    data = default_bundle.read(default_bundle.manifest.golden)
    for name in ("pnet", "classifier"):
        place = default_bundle.manifest.stages[name].golden
        assert place.shape == pictures[name].shape
        assert data[place.offset :].startswith(pictures[name].tobytes())
    assert PHOTO_ATTRIBUTION in default_bundle.manifest.attribution


@pytest.mark.parametrize(("colour", "shape"), [("bgr", [None, 64, 56, 3]), ("gray", [1, 96, 96, 1])], ids=str)
def test_a_classifier_of_another_size_and_colour(tmp_path, colour, shape):
    content = manifest_json()
    stage = content["stages"]["classifier"]
    stage["colour"] = colour
    stage["variants"][0]["inputs"][0]["shape"] = shape
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", content))
    pixels = photo_pixels(bundle)["classifier"]
    assert pixels.shape == (8, *shape[1:])
    assert len({image.tobytes() for image in pixels}) == 8
    face, mirrored, darker = pixels[:3]
    np.testing.assert_array_equal(mirrored, face[:, ::-1])
    assert darker.mean() < 0.8 * face.mean()


def test_a_classifier_of_any_size(tmp_path):
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["inputs"][0]["shape"] = [None, None, 4, 1]
    with pytest.raises(IntegrityError, match=r"^classifier: expected a fixed input size, found one that is free$"):
        photo_pixels(Bundle.open(write_bundle(tmp_path / "bundle", content)))


def test_a_detector_that_sees_nothing_was_not_converted_rightly(default_bundle, pictures, monkeypatch):
    monkeypatch.setattr(module, "read_image", lambda path: np.full((512, 512, 3), 128, np.uint8))
    with pytest.raises(GateError) as raised:
        photo_pixels(default_bundle)
    assert str(raised.value) == (
        f"{default_bundle.path}: expected boxes for rnet where the demo photo has a face, found none"
    )


def test_the_manifest_of_a_bundle_without_detector_needs_no_pixels_of_it(tmp_path, default_bundle):
    content = json.loads(default_bundle.manifest_bytes)
    content["stages"] = {"classifier": content["stages"]["classifier"]}
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    assert list(photo_pixels(Bundle.open(tmp_path))) == ["classifier"]
