"""What every engine promises: names, checks, messages; each on the models of the bundle that ships."""

from __future__ import annotations

import gzip
import importlib.metadata
import re
import sys
import types

import numpy as np
import pytest
from runtime_support import ENGINE_NAMES, installed_engine, run_python

from fer_edge import engines
from fer_edge.engines import EngineOptions, TensorSpec, engine_name, engine_status, load_engine, pick_engine
from fer_edge.engines.base import check_arrays
from fer_edge.errors import EngineError, MissingExtraError, UsageError


def variant_of(bundle, engine, stage="classifier", precision="float32"):
    return next(
        variant
        for variant in bundle.manifest.stages[stage].variants
        if (variant.engine, variant.precision) == (engine, precision)
    )


def load(bundle, engine, stage="classifier", precision="float32", **options):
    variant = variant_of(bundle, engine.name, stage, precision)
    weights = bundle.read(variant.weights) if variant.weights else None
    return engine.load(bundle.read(variant.model), EngineOptions(**options), weights=weights)


@pytest.fixture(params=ENGINE_NAMES)
def engine(request):
    return installed_engine(request.param)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("litert", "litert"),
        ("tflite", "litert"),
        ("onnx", "onnx"),
        ("onnxruntime", "onnx"),
        ("openvino", "openvino"),
    ],
)
def test_names_and_aliases(name, known):
    assert engine_name(name) == known


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tensorflow", "known: litert, onnx, openvino, tflite, onnxruntime"),
        ("litertt", "did you mean litert?"),
        ("tf-lite", "did you mean tflite?"),
        ("openvinno", "did you mean openvino?"),
        ("LiteRT", "did you mean litert?"),
        ("", "known: litert, onnx, openvino, tflite, onnxruntime"),
    ],
)
def test_an_unknown_name(name, hint):
    for function in (engine_name, load_engine):
        with pytest.raises(UsageError) as raised:
            function(name)
        assert str(raised.value) == f"no engine is named {name!r}; {hint}"


def test_the_order_of_preference():
    assert engines.ENGINE_NAMES == ENGINE_NAMES


def test_tflite_is_litert():
    assert type(load_engine("tflite")) is type(installed_engine("litert"))


def test_versions(engine):
    distribution = {"litert": "ai-edge-litert", "onnx": "onnxruntime", "openvino": "openvino"}[engine.name]
    assert re.fullmatch(rf"{distribution} \d+\.\d+\S*", engine.version())


def test_the_status_of_what_works():
    found = {status.name: status for status in engine_status()}
    for name in ENGINE_NAMES:
        engine = installed_engine(name)
        assert (found[name].version, found[name].problem) == (engine.version(), None)


MODULES = {"litert": ("ai_edge_litert", "tflite_runtime"), "onnx": ("onnxruntime",), "openvino": ("openvino",)}


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_a_library_that_is_not_installed(monkeypatch, name):
    for module in MODULES[name]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as raised:
        load_engine(name)
    message = str(raised.value)
    assert message.startswith(f"the engine {name} cannot be imported (")
    assert message.endswith(f'); pip install "fer-edge[{name}]"')
    assert raised.value.exit_code == 3
    (status,) = [status for status in engine_status() if status.name == name]
    assert (status.version, status.problem) == (None, message)


def test_a_library_that_is_not_installed_ends_the_command_with_3(default_bundle):
    code = (
        "import sys\n"
        "sys.modules['onnxruntime'] = None\n"
        "from fer_edge.assets import demo_photo_path\n"
        "from fer_edge.cli import main\n"
        "sys.exit(main(['run', str(demo_photo_path()), '--engine', 'onnx', '--bundle', sys.argv[1]]))\n"
    )
    done = run_python(code, str(default_bundle.path.resolve()))
    assert done.returncode == 3
    assert done.stderr.startswith("fer-edge: error: the engine onnx cannot be imported (")
    assert done.stderr.endswith('pip install "fer-edge[onnx]"\n')
    assert done.stderr.count("\n") == 1


def test_the_old_runtime_serves_where_the_new_one_is_missing(monkeypatch):
    litert = installed_engine("litert")
    package = types.ModuleType("tflite_runtime")
    package.interpreter = litert._module
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", litert._module)
    monkeypatch.setattr(importlib.metadata, "version", {"tflite-runtime": "2.14.0"}.__getitem__)
    assert load_engine("litert").version() == "tflite-runtime 2.14.0"


def test_the_first_candidate_that_is_installed_is_picked():
    for name in ENGINE_NAMES:
        installed_engine(name)
    assert pick_engine(["openvino", "litert"]).name == "openvino"
    assert pick_engine(["litert"]).name == "litert"


def test_none_of_the_candidates_is_installed(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as raised:
        pick_engine(["onnx", "openvino"])
    assert str(raised.value) == (
        "none of the engines onnx, openvino is installed; "
        'pip install "fer-edge[onnx]" or pip install "fer-edge[openvino]"'
    )


def test_an_engine_of_a_third_party(monkeypatch):
    class Other:
        name = "other"

        def version(self):
            return "other 3"

    monkeypatch.setitem(sys.modules, "other_engines", types.SimpleNamespace(Other=Other))
    point = importlib.metadata.EntryPoint("other", "other_engines:Other", "fer_edge.engines")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    assert isinstance(load_engine("other"), Other)
    assert pick_engine(["other"]).version() == "other 3"
    assert engine_status()[-1].version == "other 3"
    with pytest.raises(UsageError, match=r"did you mean other\?$"):
        engine_name("othre")


def test_a_session_states_what_the_manifest_states(default_bundle, engine):
    for stage in default_bundle.manifest.stages.values():
        for variant in stage.variants:
            if variant.engine != engine.name:
                continue
            weights = default_bundle.read(variant.weights) if variant.weights else None
            (shape,) = (spec.shape for spec in variant.inputs)
            options = EngineOptions(
                input_shapes=(tuple(n or default for n, default in zip(shape, (1, 24, 36, 3), strict=True)),)
            )
            session = engine.load(default_bundle.read(variant.model), options, weights=weights)
            assert [(spec.name, spec.dtype) for spec in session.inputs] == [
                (spec.name, spec.dtype) for spec in variant.inputs
            ]
            assert {(spec.name, spec.dtype) for spec in session.outputs} == {
                (spec.name, spec.dtype) for spec in variant.outputs
            }


@pytest.mark.parametrize("batch", [1, 3])
def test_a_session_for_one_shape(default_bundle, engine, batch):
    session = load(default_bundle, engine, input_shapes=((batch, 48, 48, 1),))
    zeros = np.zeros((batch, 48, 48, 1), np.float32)
    (first,) = session.run(zeros)
    assert (first.shape, first.dtype) == ((batch, len(default_bundle.manifest.labels)), np.float32)
    # What was returned is the caller's: the next run must not change it.
    kept = first.copy()
    (second,) = session.run(np.ones_like(zeros))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, kept)


def test_a_buffer_that_is_used_again_is_read_again(default_bundle, engine):
    """A stage fills one buffer for every frame; other arrays may come between, some that cannot be shared."""
    session = load(default_bundle, engine, input_shapes=((1, 48, 48, 1),))
    rng = np.random.default_rng(0)
    faces = [rng.integers(0, 256, (1, 48, 48, 1)).astype(np.float32) / 128 - 1 for _ in range(3)]
    expected = [load(default_bundle, engine, input_shapes=((1, 48, 48, 1),)).run(face)[0] for face in faces]
    buffer = np.empty((1, 48, 48, 1), np.float32)
    read_only = faces[1].copy()
    read_only.setflags(write=False)
    with_gaps = np.zeros((1, 48, 96, 1), np.float32)[:, :, ::2]
    with_gaps[...] = faces[2]
    for order in ([0, 1, 2], [2, 2, 0], [1, 0, 1]):
        for index in order:
            buffer[...] = faces[index]
            np.testing.assert_array_equal(session.run(buffer)[0], expected[index])
        np.testing.assert_array_equal(session.run(read_only)[0], expected[1])
        np.testing.assert_array_equal(session.run(with_gaps)[0], expected[2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param((np.zeros((1, 24, 24, 1), np.float32),), "found float32 (1, 24, 24, 1)", id="size"),
        pytest.param((np.zeros((48, 48, 1), np.float32),), "found float32 (48, 48, 1)", id="axes"),
        pytest.param((np.zeros((1, 48, 48, 3), np.float32),), "found float32 (1, 48, 48, 3)", id="channels"),
        pytest.param((np.zeros((1, 48, 48, 1), np.uint8),), "found uint8 (1, 48, 48, 1)", id="dtype"),
        pytest.param((np.zeros((1, 48, 48, 1)),), "found float64 (1, 48, 48, 1)", id="double"),
        pytest.param((), "expected 1 input arrays, found 0", id="none"),
        pytest.param((np.zeros((1, 48, 48, 1), np.float32),) * 2, "expected 1 input arrays, found 2", id="two"),
    ],
)
def test_arrays_that_do_not_fit(default_bundle, engine, arrays, message):
    session = load(default_bundle, engine, input_shapes=((1, 48, 48, 1),))
    with pytest.raises(EngineError, match=re.escape(message) + "$"):
        session.run(*arrays)


@pytest.mark.parametrize("model", [b"", b"garbage", bytes(1000), b"<?xml version='1.0'?><net/>", b"TFL3" * 50])
def test_bytes_that_are_no_model(engine, model):
    with pytest.raises(EngineError, match=f"^{engine.name} cannot load the model: .") as raised:
        engine.load(model, EngineOptions(), weights=b"1234" if engine.name == "openvino" else None)
    assert "\n" not in str(raised.value)


def test_a_shape_that_the_network_cannot_take(default_bundle, engine):
    if engine.name == "onnx":
        pytest.skip("ONNX Runtime's sessions take the file's shapes")
    with pytest.raises(EngineError, match=f"^{engine.name} cannot load the model: "):
        load(default_bundle, engine, stage="rnet", input_shapes=((1, 24, 24, 5),))
    with pytest.raises(EngineError, match=f"^{engine.name} cannot load the model: "):
        load(default_bundle, engine, input_shapes=((1, 48, 48, 1), (1, 48, 48, 1)))


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_only_litert_has_reference_kernels(default_bundle, name):
    with pytest.raises(EngineError, match=rf"^{name}: .*no reference kernels to choose; leave reference_kernels off$"):
        load(default_bundle, installed_engine(name), reference_kernels=True)


@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_formats_of_one_file_refuse_a_second(name):
    with pytest.raises(EngineError, match=f"^{name}: expected one file, found a model with separate weights$"):
        installed_engine(name).load(b"model", EngineOptions(), weights=b"weights")


def test_openvino_needs_its_second_file():
    with pytest.raises(
        EngineError, match=r"^openvino: expected the weights \(.bin\) beside the model \(.xml\), found none$"
    ):
        installed_engine("openvino").load(b"<net/>", EngineOptions())


def openvino_graph(default_bundle) -> tuple[bytes, bytes]:
    """The classifier's .xml, unpacked, and its .bin."""
    variants = default_bundle.manifest.stages["classifier"].variants
    xml, weights = next(variant.files() for variant in variants if variant.engine == "openvino")
    assert xml.file.endswith(".xml.gz")
    return gzip.decompress(default_bundle.read(xml)), default_bundle.read(weights)


def test_openvino_takes_a_graph_packed_or_not(default_bundle):
    engine, (xml, weights) = installed_engine("openvino"), openvino_graph(default_bundle)
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 48, 48, 1)).astype(np.float32)
    options = EngineOptions(input_shapes=(pixels.shape,))
    (plain,) = engine.load(xml, options, weights=weights).run(pixels)
    (packed,) = engine.load(gzip.compress(xml), options, weights=weights).run(pixels)
    np.testing.assert_array_equal(packed, plain)


def test_openvino_refuses_what_is_no_packed_graph(default_bundle):
    engine, (xml, weights) = installed_engine("openvino"), openvino_graph(default_bundle)
    packed = gzip.compress(xml)
    with pytest.raises(
        EngineError, match=r"^openvino cannot load the model: its .xml.gz is cut off or holds more than"
    ):
        engine.load(packed[:-20], EngineOptions(), weights=weights)
    with pytest.raises(EngineError, match=r"^openvino cannot load the model: its .xml.gz is damaged \(.+\)$"):
        engine.load(packed[:40] + bytes(40) + packed[80:], EngineOptions(), weights=weights)
    # A hundred megabytes in a hundred kilobytes: given up before it is all there.
    bomb = gzip.compress(bytes(100 << 20))
    with pytest.raises(EngineError, match=r"holds more than 67108864 bytes$"):
        engine.load(bomb, EngineOptions(), weights=weights)


def test_threads_start_at_one():
    with pytest.raises(ValueError, match=r"^threads: expected 1 or more, found 0$"):
        EngineOptions(threads=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_the_answer(default_bundle, engine, threads):
    pixels = np.random.default_rng(0).random((1, 48, 48, 1), np.float32) * 2 - 1
    (one,) = load(default_bundle, engine, input_shapes=((1, 48, 48, 1),)).run(pixels)
    (found,) = load(default_bundle, engine, input_shapes=((1, 48, 48, 1),), threads=threads).run(pixels)
    np.testing.assert_allclose(found, one, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "stored", "real"),
    [
        pytest.param(
            TensorSpec(name="x", shape=(3,), dtype="int8", scale=0.5, zero_point=-10), [-128, -10, 127], [-59, 0, 68.5],
            id="int8",
        ),
        pytest.param(
            TensorSpec(name="x", shape=(3,), dtype="uint8", scale=0.25, zero_point=128), [0, 128, 255], [-32, 0, 31.75],
            id="uint8",
        ),
        pytest.param(TensorSpec(name="x", shape=(3,), dtype="float32"), [1.5, -2.0, 0.0], [1.5, -2, 0], id="float32"),
    ],
)  # fmt: skip
def test_dequantized(spec, stored, real):
    array = np.array(stored, spec.dtype)
    found = spec.dequantize(array)
    assert found.dtype == np.float32
    assert found.tolist() == real
    assert (found is array) == (spec.scale is None)


def test_an_input_of_a_type_that_numpy_does_not_know():
    spec = TensorSpec(name="text", shape=(1,), dtype="tensor(string)")
    with pytest.raises(EngineError, match=r"^input text: expected tensor\(string\) \(1,\), found float32 \(1,\)$"):
        check_arrays((np.zeros(1, np.float32),), (spec,))
