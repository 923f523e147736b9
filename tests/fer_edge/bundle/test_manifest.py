"""The manifest's reader: what it takes, and the exact line for each thing it refuses."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from runtime_support import GOLDEN_BYTES, golden_manifest_json, manifest_json, tensor_json

from fer_edge.bundle import FileEntry, GoldenOutputs, GoldenPixels, Manifest
from fer_edge.engines import TensorSpec
from fer_edge.errors import IntegrityError
from fer_edge.preprocess import PixelCoding


def test_every_field_is_read():
    manifest = Manifest.from_json(json.dumps(manifest_json()))
    assert (manifest.name, manifest.version, manifest.licence) == ("small", "1", "Apache-2.0")
    assert manifest.labels == ("angry", "happy", "neutral")
    assert manifest.provenance == {"seed": 7}
    assert manifest.calibration == {}
    assert manifest.attribution == ("nobody's work is inside",)
    assert list(manifest.stages) == ["classifier"]
    stage = manifest.stages["classifier"]
    assert (stage.name, stage.colour, stage.layout) == ("classifier", "gray", "NHWC")
    assert (stage.pixel_mean, stage.pixel_std, stage.crop_margin) == (128.0, 128.0, 0.1)
    (variant,) = stage.variants
    assert (variant.engine, variant.precision, variant.tested_with) == ("fake", "float32", "fake 0")
    assert variant.model == FileEntry(file="classifier_float32.fake", bytes=35, sha256=variant.model.sha256)
    assert variant.weights is None
    assert variant.files() == (variant.model,)
    assert variant.inputs == (TensorSpec(name="pixels", shape=(None, 6, 4, 1), dtype="float32"),)
    assert variant.outputs == (TensorSpec(name="logits", shape=(None, 3), dtype="float32"),)
    assert stage.coding(variant) == PixelCoding(mean=128.0, std=128.0)
    assert (manifest.golden, stage.golden, variant.golden) == (None, None, None)
    assert manifest.files() == (variant.model,)


def test_every_field_of_golden_vectors_is_read():
    manifest = Manifest.from_json(json.dumps(golden_manifest_json()))
    stage = manifest.stages["classifier"]
    assert manifest.golden == FileEntry(file="golden.bin", bytes=72, sha256=manifest.golden.sha256)
    assert stage.golden == GoldenPixels(offset=0, shape=(2, 6, 4, 1), output_shapes=((2, 3),))
    assert stage.variants[0].golden == GoldenOutputs(offset=48, reference_kernels=False, tolerance=0.0)
    assert manifest.files() == (stage.variants[0].model, manifest.golden)
    assert json.loads(manifest.to_json()) == golden_manifest_json()


def test_the_text_of_a_manifest_read_is_the_text_it_was_read_from(default_bundle):
    text = (default_bundle.path / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.from_json(text).to_json() == text
    again = Manifest.from_json(Manifest.from_json(json.dumps(json.loads(text))).to_json())
    assert again == default_bundle.manifest


def test_text_that_is_not_ascii_survives():
    content = manifest_json()
    content["attribution"] = ["Gerät «Ünï» 表情 🙂"]
    text = Manifest.from_json(json.dumps(content)).to_json()
    assert "Gerät «Ünï» 表情 🙂" in text
    assert text.endswith("}\n")
    assert Manifest.from_json(text).attribution == ("Gerät «Ünï» 表情 🙂",)


def test_whole_numbers_are_taken_where_real_ones_are_meant():
    content = manifest_json()
    content["stages"]["classifier"].update(pixel_mean=0, pixel_std=255, crop_margin=0)
    stage = Manifest.from_json(json.dumps(content)).stages["classifier"]
    assert (stage.pixel_mean, stage.pixel_std, stage.crop_margin) == (0.0, 255.0, 0.0)
    assert isinstance(stage.pixel_std, float)


def test_a_manifest_cannot_be_changed():
    manifest = Manifest.from_json(json.dumps(manifest_json()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        manifest.name = "other"


ROOT = "manifest.json"
STAGES = "manifest.json, stages"
STAGE = "manifest.json, stages, classifier"
VARIANT = "manifest.json, stages, classifier, variants[0]"
FLOAT = "manifest.json, stages, classifier, fake float32"
KNOWN = "known: attribution, calibration, golden, labels, licence, name, provenance, schema, stages, version"
ABSENT = object()

# Where in the manifest, what is put there (ABSENT takes the key out), and the message.
REFUSED = {
    "no schema": (("schema",), ABSENT, f"{ROOT}: the key 'schema' is missing"),
    "another schema": (
        ("schema",), "fer-edge/bundle/2", f"{ROOT}: expected the schema fer-edge/bundle/1, found 'fer-edge/bundle/2'"
    ),
    "a schema that is a number": (("schema",), 1, f"{ROOT}, schema: expected str, found int"),
    "no name": (("name",), ABSENT, f"{ROOT}: the key 'name' is missing"),
    "null": (("version",), None, f"{ROOT}, version: expected str, found NoneType"),
    "a near key": (("licences",), "x", f"{ROOT}: unknown key 'licences'; did you mean licence?"),
    "a key far from all": (
        ("zzz",),
        1,
        f"{ROOT}: unknown key 'zzz'; {KNOWN}",
    ),
    "a long key": (
        ("z" * 1000,),
        1,
        f"{ROOT}: unknown key '{'z' * 60}'; {KNOWN}",
    ),
    "control characters": (
        ("name",), "small\x1b[2J", f"{ROOT}: name: expected text without control characters, found 'small\\x1b[2J'"
    ),
    "two lines": (
        ("licence",), "MIT\nfer-edge: all is well",
        f"{ROOT}: licence: expected text without control characters, found 'MIT\\nfer-edge: all is well'",
    ),
    "half a character": (
        ("name",), "\ud800", f"{ROOT}: name: expected text without control characters, found '\\ud800'"
    ),
    "a label with control characters": (
        ("labels", 1), "hap\x00py", f"{ROOT}: labels: expected text without control characters, found 'hap\\x00py'"
    ),
    "labels as text": (("labels",), "angry", f"{ROOT}, labels: expected list, found str"),
    "a label that is a number": (
        ("labels", 0), 3, f"{ROOT}, labels: expected a list of str, found int in it"
    ),
    "no labels": (("labels",), [], f"{ROOT}, labels: expected the classifier's classes, found none"),
    "a label too few": (
        ("labels",), ["angry", "happy"], f"{FLOAT}, outputs: expected lengths of the last axes [2], found [3]"
    ),
    "a label twice": (
        ("labels",),
        ["angry", "happy", "angry"],
        f"{ROOT}, labels: expected each class once, found 'angry' twice",
    ),
    "attribution as text": (("attribution",), "me", f"{ROOT}, attribution: expected list, found str"),
    "provenance as list": (("provenance",), [], f"{ROOT}, provenance: expected dict, found list"),
    "stages as list": (("stages",), [], f"{STAGES}: expected an object, found list"),
    "no stages": (
        ("stages",), {}, f"{STAGES}: expected at least one of pnet, rnet, onet, classifier, found none"
    ),
    "a near stage": (
        ("stages", "clasifier"), {}, f"{STAGES}: unknown key 'clasifier'; did you mean classifier?"
    ),
    "a stage that is null": (("stages", "classifier"), None, f"{STAGE}: expected an object, found NoneType"),
    "another colour": (
        ("stages", "classifier", "colour"), "rgb", f"{STAGE}: colour: expected one of gray, bgr, found 'rgb'"
    ),
    "channels that are not the colour's": (
        ("stages", "classifier", "colour"), "bgr", f"{FLOAT}, inputs: expected 3 channels (bgr), found 1"
    ),
    "another layout": (
        ("stages", "classifier", "layout"), "NCHW", f"{STAGE}: layout: expected NHWC, found 'NCHW'"
    ),
    "a number as text": (
        ("stages", "classifier", "pixel_mean"), "128", f"{STAGE}, pixel_mean: expected float, found str"
    ),
    "a boolean as number": (
        ("stages", "classifier", "pixel_mean"), True, f"{STAGE}, pixel_mean: expected float, found bool"
    ),
    "std 0": (
        ("stages", "classifier", "pixel_std"),
        0,
        f"{STAGE}: pixel_std: expected 0.001 to 1000000, found 0",
    ),
    "a std too small": (
        ("stages", "classifier", "pixel_std"),
        0.0009,
        f"{STAGE}: pixel_std: expected 0.001 to 1000000, found 0.0009",
    ),
    "a std too large": (
        ("stages", "classifier", "pixel_std"),
        1000001,
        f"{STAGE}: pixel_std: expected 0.001 to 1000000, found 1000001",
    ),
    "a negative std": (
        ("stages", "classifier", "pixel_std"), -1, f"{STAGE}: pixel_std: expected 0.001 to 1000000, found -1"
    ),
    "a mean too large": (
        ("stages", "classifier", "pixel_mean"),
        1e300,
        f"{STAGE}: pixel_mean: expected -1000000 to 1000000, found 1e+300",
    ),
    "a mean too small": (
        ("stages", "classifier", "pixel_mean"),
        -1000001,
        f"{STAGE}: pixel_mean: expected -1000000 to 1000000, found -1000001",
    ),
    "a height too large": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [None, 1025, 4, 1],
        f"{FLOAT}, inputs: expected a height and width of 1 to 1024, found 1025 x 4 x 1",
    ),
    "a width of 400 digits": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [None, 6, 10**400, 1],
        f"{FLOAT}, inputs: expected a height and width of 1 to 1024, found 6 x 1{'0' * 19} x 1",
    ),
    "a number too large": (
        ("stages", "classifier", "pixel_mean"), 10**400, f"{STAGE}: pixel_mean: expected a smaller number"
    ),
    "a crop of nothing": (
        ("stages", "classifier", "crop_margin"), -1, f"{STAGE}: crop_margin: expected -0.9 to 9, found -1"
    ),
    "a crop of everything": (
        ("stages", "classifier", "crop_margin"), 1e9, f"{STAGE}: crop_margin: expected -0.9 to 9, found 1e+09"
    ),
    "no variants": (("stages", "classifier", "variants"), [], f"{STAGE}: variants: expected at least one, found none"),
    "variants as object": (("stages", "classifier", "variants"), {}, f"{STAGE}, variants: expected list, found dict"),
    "a near key of a variant": (
        ("stages", "classifier", "variants", 0, "weight"),
        None,
        f"{VARIANT}: unknown key 'weight'; did you mean weights?",
    ),
    "a variant without its engine": (
        ("stages", "classifier", "variants", 0, "engine"), ABSENT, f"{VARIANT}: the key 'engine' is missing"
    ),
    "weights as text": (
        ("stages", "classifier", "variants", 0, "weights"), "x.bin", f"{VARIANT}, weights: expected dict, found str"
    ),
    "no inputs": (
        ("stages", "classifier", "variants", 0, "inputs"), [], f"{VARIANT}: inputs: expected one tensor of four axes"
    ),
    "two inputs": (
        ("stages", "classifier", "variants", 0, "inputs"),
        [tensor_json("a", [None, 6, 4, 1]), tensor_json("b", [None, 6, 4, 1])],
        f"{VARIANT}: inputs: expected one tensor of four axes",
    ),
    "three axes": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [6, 4, 1],
        f"{VARIANT}: inputs: expected one tensor of four axes",
    ),
    "no outputs": (
        ("stages", "classifier", "variants", 0, "outputs"),
        [],
        f"{VARIANT}: outputs: expected at least one tensor, found none",
    ),
    "an output without axes": (
        ("stages", "classifier", "variants", 0, "outputs", 0, "shape"),
        [],
        f"{FLOAT}, outputs: expected lengths of the last axes [3], found [None]",
    ),
    "an output of any length": (
        ("stages", "classifier", "variants", 0, "outputs", 0, "shape"),
        [None, None],
        f"{FLOAT}, outputs: expected lengths of the last axes [3], found [None]",
    ),
    "two outputs": (
        ("stages", "classifier", "variants", 0, "outputs"),
        [tensor_json("a", [None, 3]), tensor_json("b", [None, 3])],
        f"{FLOAT}, outputs: expected lengths of the last axes [3], found [3, 3]",
    ),
    "a length of 0": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [None, 0, 4, 1],
        f"{VARIANT}, inputs[0]: shape: expected positive lengths or null, found 0",
    ),
    "a negative length": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [-1, 6, 4, 1],
        f"{VARIANT}, inputs[0]: shape: expected positive lengths or null, found -1",
    ),
    "a length that is true": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [True, 6, 4, 1],
        f"{VARIANT}, inputs[0]: shape: expected positive lengths or null, found True",
    ),
    "a length with a fraction": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "shape"),
        [None, 6.5, 4, 1],
        f"{VARIANT}, inputs[0]: shape: expected positive lengths or null, found 6.5",
    ),
    "an input of another type": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "dtype"),
        "float64",
        f"{STAGE}: variant fake float32: dtype: expected one of float32, uint8, int8, int16, found 'float64'",
    ),
    "a quantized input without scale": (
        ("stages", "classifier", "variants", 0, "inputs", 0, "dtype"),
        "uint8",
        f"{STAGE}: variant fake float32: scale and zero_point go with a quantized dtype and only with one; "
        "dtype is uint8",
    ),
    "a scale alone": (
        ("stages", "classifier", "variants", 0, "outputs", 0, "scale"),
        0.5,
        f"{VARIANT}, outputs[0]: scale and zero_point: expected both or neither",
    ),
    "a scale of 0": (
        ("stages", "classifier", "variants", 0, "outputs", 0),
        tensor_json("logits", [None, 3], "int8", 0.0, 0),
        f"{VARIANT}, outputs[0]: scale: expected a positive number, found 0",
    ),
    "a zero point out of range": (
        ("stages", "classifier", "variants", 0, "outputs", 0),
        tensor_json("logits", [None, 3], "int8", 0.5, 10**9),
        f"{VARIANT}, outputs[0]: zero_point: expected -32768 to 32767, found 1000000000",
    ),
    "a zero point with a fraction": (
        ("stages", "classifier", "variants", 0, "outputs", 0),
        tensor_json("logits", [None, 3], "int8", 0.5, 0.5),
        f"{VARIANT}, outputs[0], zero_point: expected int, found float",
    ),
    "negative bytes": (
        ("stages", "classifier", "variants", 0, "model", "bytes"),
        -1,
        f"{VARIANT}, model: bytes: expected 1 to 268435456, found -1",
    ),
    "no bytes": (
        ("stages", "classifier", "variants", 0, "model", "bytes"),
        0,
        f"{VARIANT}, model: bytes: expected 1 to 268435456, found 0",
    ),
    "too many bytes": (
        ("stages", "classifier", "variants", 0, "model", "bytes"),
        268435457,
        f"{VARIANT}, model: bytes: expected 1 to 268435456, found 268435457",
    ),
    "bytes that are true": (
        ("stages", "classifier", "variants", 0, "model", "bytes"),
        True,
        f"{VARIANT}, model, bytes: expected int, found bool",
    ),
    "bytes with a fraction": (
        ("stages", "classifier", "variants", 0, "model", "bytes"),
        35.0,
        f"{VARIANT}, model, bytes: expected int, found float",
    ),
    "a short digest": (
        ("stages", "classifier", "variants", 0, "model", "sha256"),
        "ab" * 31,
        f"{VARIANT}, model: sha256: expected 64 lower-case hexadecimal digits",
    ),
    "a digest in capitals": (
        ("stages", "classifier", "variants", 0, "model", "sha256"),
        "AB" * 32,
        f"{VARIANT}, model: sha256: expected 64 lower-case hexadecimal digits",
    ),
    "an unknown key of a file": (
        ("stages", "classifier", "variants", 0, "model", "sha265"),
        "x",
        f"{VARIANT}, model: unknown key 'sha265'; did you mean sha256?",
    ),
}  # fmt: skip

NAMES = {
    "a folder above": "../x",
    "an absolute path": "/etc/passwd",
    "a folder": "models/x.onnx",
    "a folder of another system": "models\\x.onnx",
    "a drive": "c:x.onnx",
    "this folder": ".",
    "the folder above": "..",
    "hidden": ".x.onnx",
    "an option": "-x.onnx",
    "nothing": "",
    "a space": "x y.onnx",
    "not ascii": "modèle.onnx",
    "too long": "x" * 101,
}


def changed(content, path, value):
    *parents, key = path
    place = content
    for step in parents:
        place = place[step]
    if value is ABSENT:
        del place[key]
    else:
        place[key] = value
    return content


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    path, value, message = REFUSED[case]
    text = json.dumps(changed(manifest_json(), path, value))
    with pytest.raises(IntegrityError) as raised:
        Manifest.from_json(text)
    assert str(raised.value) == message


GOLDEN = f"{STAGE}, golden"
FLOAT_GOLDEN = f"{FLOAT}, golden"
VARIANT_GOLDEN = f"{VARIANT}, golden"
THERE = "expected an object, as the bundle has golden vectors, found null"
LENGTHS = "expected 1 to 4 lengths of 1 to 4194304, found"
STATED = "expected shapes that fit (None, 6, 4, 1), (None, 3), found"
OF_STAGE = ("stages", "classifier", "golden")
OF_VARIANT = ("stages", "classifier", "variants", 0, "golden")

GOLDEN_REFUSED = {
    "no key": (OF_STAGE, ABSENT, f"{STAGE}: the key 'golden' is missing"),
    "no key of a variant": (OF_VARIANT, ABSENT, f"{VARIANT}: the key 'golden' is missing"),
    "no file": (
        ("golden",), None, f"{GOLDEN}: expected null, as the bundle has no golden vectors, found an object"
    ),
    "no pixels": (OF_STAGE, None, f"{GOLDEN}: {THERE}"),
    "no outputs": (OF_VARIANT, None, f"{FLOAT_GOLDEN}: {THERE}"),
    "a folder above": (
        ("golden", "file"), "../x", f"{ROOT}, golden: file: expected a plain name without folders, found '../x'"
    ),
    "a large file": (
        ("golden", "bytes"), 4194305, f"{ROOT}, golden: bytes: expected 1 to 4194304, found 4194305"
    ),
    "pixels behind the end": (
        (*OF_STAGE, "offset"), 25, f"{GOLDEN}: expected an end within 72 bytes, found 73"
    ),
    "outputs behind the end": (
        (*OF_VARIANT, "offset"), 49, f"{FLOAT_GOLDEN}: expected an end within 72 bytes, found 73"
    ),
    "a file one byte short": (
        ("golden", "bytes"), 71, f"{FLOAT_GOLDEN}: expected an end within 71 bytes, found 72"
    ),
    "an offset in front of the file": (
        (*OF_VARIANT, "offset"), -1, f"{VARIANT_GOLDEN}: offset: expected 0 to 4194304, found -1"
    ),
    "an offset of 400 digits": (
        (*OF_STAGE, "offset"), 10**400, f"{GOLDEN}: offset: expected 0 to 4194304, found 1{'0' * 19}"
    ),
    "pixels of another size": ((*OF_STAGE, "shape"), [2, 6, 5, 1], f"{FLOAT_GOLDEN}: {STATED} (2, 6, 5, 1), (2, 3)"),
    "pixels of another colour": (
        (*OF_STAGE, "shape"), [2, 6, 4, 3], f"{FLOAT_GOLDEN}: {STATED} (2, 6, 4, 3), (2, 3)"
    ),
    "another number of images": (
        (*OF_STAGE, "shape"), [1, 6, 4, 1], f"{FLOAT_GOLDEN}: {STATED} (1, 6, 4, 1), (2, 3)"
    ),
    "an axis too few": ((*OF_STAGE, "shape"), [2, 6, 4], f"{FLOAT_GOLDEN}: {STATED} (2, 6, 4), (2, 3)"),
    "outputs of another length": (
        (*OF_STAGE, "output_shapes"), [[2, 4]], f"{FLOAT_GOLDEN}: {STATED} (2, 6, 4, 1), (2, 4)"
    ),
    "an output too many": (
        (*OF_STAGE, "output_shapes"), [[2, 3], [2, 3]], f"{FLOAT_GOLDEN}: {STATED} (2, 6, 4, 1), (2, 3), (2, 3)"
    ),
    "no images": ((*OF_STAGE, "shape"), [0, 6, 4, 1], f"{GOLDEN}: shape: {LENGTHS} [0, 6, 4, 1]"),
    "a length that is null": ((*OF_STAGE, "shape"), [None, 6, 4, 1], f"{GOLDEN}: shape: {LENGTHS} [None, 6, 4, 1]"),
    "a length that is true": ((*OF_STAGE, "shape"), [True, 6, 4, 1], f"{GOLDEN}: shape: {LENGTHS} [True, 6, 4, 1]"),
    "a length of 400 digits": (
        (*OF_STAGE, "output_shapes"), [[10**400, 3]], f"{GOLDEN}: output_shapes: {LENGTHS} [1{'0' * 58}"
    ),
    "many axes": ((*OF_STAGE, "shape"), [1] * 1000, f"{GOLDEN}: shape: {LENGTHS} [{'1, ' * 19}1,"),
    "no axes": ((*OF_STAGE, "output_shapes"), [[]], f"{GOLDEN}: output_shapes: {LENGTHS} []"),
    "lengths without shapes": (
        (*OF_STAGE, "output_shapes"), [2, 3], f"{GOLDEN}, output_shapes: expected a list of list, found int in it"
    ),
    "outputs of another type": (
        ("stages", "classifier", "variants", 0, "outputs", 0, "dtype"),
        "object",
        f"{FLOAT_GOLDEN}: expected outputs of float32, uint8, int8, int16, found 'object'",
    ),
    "a number for a switch": (
        (*OF_VARIANT, "reference_kernels"), 1, f"{VARIANT_GOLDEN}, reference_kernels: expected bool, found int"
    ),
    "a negative tolerance": (
        (*OF_VARIANT, "tolerance"), -0.1, f"{VARIANT_GOLDEN}: tolerance: expected 0 to 1, found -0.1"
    ),
    "a tolerance of everything": (
        (*OF_VARIANT, "tolerance"), 1.5, f"{VARIANT_GOLDEN}: tolerance: expected 0 to 1, found 1.5"
    ),
    "a near key": (
        (*OF_VARIANT, "tolerances"), 0, f"{VARIANT_GOLDEN}: unknown key 'tolerances'; did you mean tolerance?"
    ),
    "an unknown key of pixels": (
        (*OF_STAGE, "shapes"), [], f"{GOLDEN}: unknown key 'shapes'; did you mean shape?"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN_REFUSED)
def test_what_is_refused_of_golden_vectors(case):
    path, value, message = GOLDEN_REFUSED[case]
    text = json.dumps(changed(golden_manifest_json(), path, value))
    with pytest.raises(IntegrityError) as raised:
        Manifest.from_json(text)
    assert str(raised.value) == message


def test_golden_outputs_without_a_golden_file():
    content = golden_manifest_json()
    content.update(golden=None)
    content["stages"]["classifier"]["golden"] = None
    message = f"{FLOAT_GOLDEN}: expected null, as the bundle has no golden vectors, found an object"
    with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("golden", "bytes"), 4194304, id="largest file"),
        pytest.param((*OF_STAGE, "offset"), 24, id="pixels at the end"),
        pytest.param((*OF_VARIANT, "offset"), 0, id="outputs in the pixels' place"),
        pytest.param((*OF_VARIANT, "tolerance"), 1, id="largest tolerance"),
    ],
)
def test_the_limits_of_golden_vectors_are_taken(path, value):
    assert len(GOLDEN_BYTES) == 72
    Manifest.from_json(json.dumps(changed(golden_manifest_json(), path, value)))


def test_golden_outputs_of_pnet_have_any_height_and_width():
    content = json.loads(detector_stage("pnet", [1, 4]))
    stage = content["stages"]["pnet"]
    stage["variants"][0]["outputs"] = [tensor_json(name, [1, 5, 5, n]) for name, n in (("a", 1), ("b", 4))]
    stage["variants"][0]["golden"] = {"offset": 0, "reference_kernels": False, "tolerance": 0.5}
    stage["golden"] = {"offset": 0, "shape": [2, 30, 20, 3], "output_shapes": [[2, 10, 5, 1], [2, 10, 5, 4]]}
    content["golden"] = {"file": "golden.bin", "bytes": 3600, "sha256": "0" * 64}
    assert Manifest.from_json(json.dumps(content)).stages["pnet"].golden.output_shapes[1] == (2, 10, 5, 4)
    stage["golden"]["output_shapes"][1][3] = 3
    with pytest.raises(IntegrityError, match=r"golden: expected shapes that fit .*, found .*\(2, 10, 5, 3\)$"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize("case", NAMES)
def test_a_files_name_is_a_plain_name(case):
    path = ("stages", "classifier", "variants", 0, "model", "file")
    text = json.dumps(changed(manifest_json(), path, NAMES[case]))
    with pytest.raises(IntegrityError) as raised:
        Manifest.from_json(text)
    assert str(raised.value) == (
        f"{VARIANT}, model: file: expected a plain name without folders, found {NAMES[case][:60]!r}"
    )


@pytest.mark.parametrize("name", ["x\n", "x\x00"], ids=["line end", "zero"])
def test_a_files_name_has_no_control_characters(name):
    text = json.dumps(changed(manifest_json(), ("stages", "classifier", "variants", 0, "model", "file"), name))
    with pytest.raises(IntegrityError, match="model: file: expected text without control characters, found"):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "Expecting value", id="empty"),
        pytest.param("{", "Expecting property name", id="cut short"),
        pytest.param("{'a': 1}", "Expecting property name", id="single quotes"),
        pytest.param('{"a": 1} {}', "Extra data", id="two objects"),
        pytest.param('{"a": NaN}', "NaN is no number", id="NaN"),
        pytest.param('{"a": -Infinity}', "-Infinity is no number", id="infinity"),
        pytest.param('{"schema": "a", "b": {"c": 1, "c": 2}}', "the key 'c' is there twice", id="a key twice"),
    ],
)
def test_what_is_no_json(text, reason):
    with pytest.raises(IntegrityError, match=rf"^manifest\.json is no JSON \({re.escape(reason)}.*\); make the bundle"):
        Manifest.from_json(text)


@pytest.mark.parametrize("text", ["[]", "1", "null", '"text"'])
def test_what_is_json_but_no_object(text):
    kind = type(json.loads(text)).__name__
    with pytest.raises(IntegrityError, match=rf"^manifest\.json: expected an object, found {kind}$"):
        Manifest.from_json(text)


def test_a_number_beyond_the_reals():
    text = json.dumps(manifest_json()).replace('"pixel_mean": 128.0', '"pixel_mean": 1e999')
    with pytest.raises(IntegrityError, match=f"^{STAGE}: pixel_mean: expected a smaller number$"):
        Manifest.from_json(text)


@pytest.mark.parametrize(("depth", "taken"), [(30, True), (31, False), (500, False)], ids=str)
def test_nesting_is_bounded(depth, taken):
    content = manifest_json()
    content["provenance"] = {}
    text = json.dumps(content).replace('"provenance": {}', '"provenance": {"a": ' + "[" * depth + "]" * depth + "}")
    if taken:
        Manifest.from_json(text).to_json()
    else:
        with pytest.raises(
            IntegrityError, match=r"^manifest\.json: expected at most 32 levels of nesting, found more$"
        ):
            Manifest.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("stages", "classifier", "pixel_std"), 1e-3, id="smallest std"),
        pytest.param(("stages", "classifier", "pixel_std"), 1e6, id="largest std"),
        pytest.param(("stages", "classifier", "pixel_mean"), -1e6, id="smallest mean"),
        pytest.param(("stages", "classifier", "pixel_mean"), 1e6, id="largest mean"),
        pytest.param(
            ("stages", "classifier", "variants", 0, "inputs", 0, "shape"), [16, 1024, 1024, 1], id="largest input"
        ),
        pytest.param(("provenance",), {"a": {"é 表": [{"b c": 1}]}}, id="keys that are plain text"),
    ],
)
def test_the_limits_themselves_are_taken(path, value):
    Manifest.from_json(json.dumps(changed(manifest_json(), path, value)))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        pytest.param(("provenance",), f"{ROOT}: provenance", id="provenance"),
        pytest.param(("calibration",), f"{ROOT}: calibration", id="calibration"),
        pytest.param(("stages", "classifier", "variants", 0, "measured"), f"{VARIANT}: measured", id="measured"),
    ],
)
@pytest.mark.parametrize(
    ("key", "shown"), [("x\x1b[2J", "'x\\x1b[2J'"), ("a\nb", "'a\\nb'"), ("\udc80", "'\\udc80'")], ids=ascii
)
@pytest.mark.parametrize(
    "around",
    [
        pytest.param(lambda inner: inner, id="outermost"),
        pytest.param(lambda inner: {"a": {"b": inner}}, id="in objects"),
        pytest.param(lambda inner: {"a": [1, [{"b": "text"}, inner]]}, id="in lists"),
    ],
)
def test_keys_of_free_content_have_no_control_characters(path, where, key, shown, around):
    text = json.dumps(changed(manifest_json(), path, around({key: 1})))
    with pytest.raises(IntegrityError) as raised:
        Manifest.from_json(text)
    assert str(raised.value) == f"{where}: expected keys without control characters, found {shown}"


INPUT_SHAPES = {"pnet": [None, None, None, 3], "rnet": [None, 24, 24, 3], "onet": [None, 48, 48, 3]}


def detector_stage(name, widths, shape=None):
    stage = manifest_json()["stages"]["classifier"]
    stage.update(colour="bgr", crop_margin=None)
    stage["variants"][0]["inputs"] = [tensor_json("pixels", shape or INPUT_SHAPES[name])]
    stage["variants"][0]["outputs"] = [tensor_json(f"out{i}", [None, width]) for i, width in enumerate(widths)]
    return json.dumps({**manifest_json(), "labels": [], "stages": {name: stage}})


@pytest.mark.parametrize(
    ("name", "widths"), [("pnet", [1, 4]), ("rnet", [1, 4]), ("onet", [1, 4, 10])], ids=["pnet", "rnet", "onet"]
)
def test_the_outputs_of_the_detectors_stages(name, widths):
    assert list(Manifest.from_json(detector_stage(name, widths)).stages) == [name]
    for wrong in (widths[:-1], [*widths, 1], widths[::-1]):
        message = (
            f"manifest.json, stages, {name}, fake float32, outputs: expected lengths of the last axes {widths}, "
            f"found {wrong}"
        )
        with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):
            Manifest.from_json(detector_stage(name, wrong))


@pytest.mark.parametrize("batch", [None, 16], ids=["any batch", "fixed batch"])
@pytest.mark.parametrize(
    ("name", "widths", "expected", "wrong"),
    [
        ("pnet", [1, 4], "any x any x 3", [(12, 12), (None, 12), (12, None)]),
        ("rnet", [1, 4], "24 x 24 x 3", [(None, None), (24, 48), (48, 48), (24, 10**9)]),
        ("onet", [1, 4, 10], "48 x 48 x 3", [(None, 48), (24, 24), (10**9, 48)]),
    ],
    ids=["pnet", "rnet", "onet"],
)
def test_the_inputs_of_the_detectors_stages(batch, name, widths, expected, wrong):
    Manifest.from_json(detector_stage(name, widths, [batch, *INPUT_SHAPES[name][1:]]))
    for height, width in wrong:
        found = " x ".join("any" if length is None else str(length) for length in (height, width, 3))
        with pytest.raises(IntegrityError) as raised:
            Manifest.from_json(detector_stage(name, widths, [batch, height, width, 3]))
        assert str(raised.value) == (
            f"manifest.json, stages, {name}, fake float32, inputs: expected {expected} after the batch, found {found}"
        )


def test_a_detectors_stage_takes_colour():
    content = json.loads(detector_stage("rnet", [1, 4], [None, 24, 24, 1]))
    content["stages"]["rnet"]["colour"] = "gray"
    with pytest.raises(IntegrityError, match=r"inputs: expected 24 x 24 x 3 after the batch, found 24 x 24 x 1$"):
        Manifest.from_json(json.dumps(content))
