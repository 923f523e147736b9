"""Engines on a GPU: when they are offered, what they tell, and that none goes on with the CPU in silence."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge.engines import (
    EngineOptions,
    engine_name,
    engine_status,
    engines_for_files,
    files_name,
    load_engine,
    pick_engine,
)
from fer_edge.engines import onnx as onnx_module
from fer_edge.errors import EngineError, MissingExtraError, UsageError
from fer_edge.pipeline import EmotionPipeline

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
LIBRARIES = {TENSORRT: "libonnxruntime_providers_tensorrt.so", CUDA: "libonnxruntime_providers_cuda.so"}
PROVIDERS = {"onnx-tensorrt": [TENSORRT, CUDA, CPU], "onnx-cuda": [CUDA, CPU]}


class FakeRuntime(types.ModuleType):
    """Stands in for onnxruntime.

    Sessions run on the CPU as those of the real one do, and say that they run on those providers asked for that `works`
    has; where `refuses` is a text they cannot be made for a GPU.
    """

    def __init__(self, real, built_with, works, refuses):
        super().__init__("onnxruntime")
        self.__version__ = "1.99.0"
        self.asked = []
        self.SessionOptions = real.SessionOptions
        self.set_default_logger_severity = lambda severity: None
        self.get_available_providers = lambda: list(built_with)

        def session(model, settings, *, providers, enable_fallback=True):
            self.asked.append((providers, enable_fallback))
            if providers[0] not in works:
                print("*** EP Error ***")  # as releases before 1.23 do
            if refuses and providers[0] != CPU:
                raise RuntimeError(refuses)
            made = real.InferenceSession(model, settings, providers=[CPU])
            made.get_providers = lambda: [name for name in providers if name in works]
            return made

        self.InferenceSession = session


@pytest.fixture
def fake_runtime(monkeypatch, tmp_path):
    """Function that puts a stand-in for onnxruntime in place, with the libraries of what it was built with."""
    real = installed_engine("onnx")._module

    def put(*, built_with=(TENSORRT, CUDA, CPU), works=(TENSORRT, CUDA, CPU), refuses=None):
        runtime = FakeRuntime(real, built_with, works, refuses)
        (tmp_path / "capi").mkdir(exist_ok=True)
        for provider in set(built_with) & set(LIBRARIES):
            (tmp_path / "capi" / LIBRARIES[provider]).touch()
        runtime.__spec__ = importlib.machinery.ModuleSpec("onnxruntime", None, is_package=True)
        runtime.__spec__.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        return runtime

    return put


@pytest.mark.parametrize(
    ("built_with", "offered"),
    [
        pytest.param((CPU,), [], id="CPU"),
        pytest.param((CUDA, CPU), ["onnx-cuda"], id="CUDA"),
        pytest.param((TENSORRT, CUDA, CPU), ["onnx-tensorrt", "onnx-cuda"], id="TensorRT"),
    ],
)
def test_offered_where_the_library_was_built_with_it(fake_runtime, built_with, offered):
    fake_runtime(built_with=built_with)
    assert engines_for_files("onnx") == ("onnx", *offered)
    assert engines_for_files("litert") == ("litert",)
    assert [status.name for status in engine_status() if status.name.startswith("onnx-")] == offered


def test_not_offered_by_the_library_that_is_installed():
    offered = installed_engine("onnx")._module.get_available_providers()
    if CUDA in offered:
        pytest.skip("the onnxruntime here was built with CUDA")
    assert engines_for_files("onnx") == ("onnx",)
    with pytest.raises(MissingExtraError) as raised:
        load_engine("onnx-cuda")
    assert str(raised.value) == (
        f"the engine onnx-cuda needs an ONNX Runtime with {CUDA}, found one with {', '.join(offered)}; "
        "install onnxruntime-gpu in place of onnxruntime, on a Jetson NVIDIA's build of it"
    )


@pytest.mark.parametrize(
    ("name", "files"), [("onnx-cuda", "onnx"), ("onnx-tensorrt", "onnx"), ("onnx", "onnx"), ("tflite", "litert")]
)
def test_whose_files_it_runs(name, files):
    assert files_name(name) == files


def test_a_name_that_is_nearly_one(fake_runtime):
    fake_runtime()
    with pytest.raises(UsageError, match=r"did you mean onnx-cuda\?$"):
        engine_name("onnx_cuda")


@pytest.mark.parametrize(("name", "shown"), [("onnx-cuda", "CUDA"), ("onnx-tensorrt", "Tensorrt")])
def test_it_runs_the_files_of_onnx_on_its_providers(fake_runtime, default_bundle, name, shown):
    runtime = fake_runtime()
    engine = load_engine(name)
    assert (engine.name, engine.version()) == ("onnx", f"onnxruntime 1.99.0 on {shown}")
    (variant, *_) = (item for item in default_bundle.manifest.stages["classifier"].variants if item.engine == "onnx")
    model = default_bundle.read(variant.model)
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 48, 48, 1)).astype(np.float32)
    pixels = pixels if variant.inputs[0].dtype == "float32" else pixels.astype(variant.inputs[0].dtype)
    (found,) = engine.load(model, EngineOptions()).run(pixels)
    (expected,) = load_engine("onnx").load(model, EngineOptions()).run(pixels)
    np.testing.assert_array_equal(found, expected)
    # Twice: to see whether a session starts at all, and for the model. onnxruntime's own fallback is off.
    assert runtime.asked == [(PROVIDERS[name], False)] * 2 + [([CPU], True)]


def test_a_pipeline_takes_it_by_name(fake_runtime, default_bundle):
    fake_runtime()
    pipeline = EmotionPipeline(default_bundle.path, engine="onnx-cuda")
    assert pipeline.engine_version == "onnxruntime 1.99.0 on CUDA"
    assert pipeline.classifier.stage.variant.engine == "onnx"
    assert pick_engine(["onnx-cuda"]).version() == "onnxruntime 1.99.0 on CUDA"


@pytest.mark.parametrize(
    ("name", "works", "found"),
    [
        pytest.param("onnx-cuda", (CPU,), CPU, id="CUDA falls back to the CPU"),
        pytest.param("onnx-tensorrt", (CPU,), CPU, id="TensorRT falls back to the CPU"),
        pytest.param("onnx-tensorrt", (CUDA, CPU), f"{CUDA}, {CPU}", id="TensorRT falls back to CUDA"),
    ],
)
def test_a_silent_fallback_is_an_error(fake_runtime, capsys, name, works, found):
    fake_runtime(works=works)
    libraries = "the TensorRT, CUDA and cuDNN" if name == "onnx-tensorrt" else "the CUDA and cuDNN"
    message = (
        f"the engine {name} cannot be started ({name}: expected a session on {PROVIDERS[name][0]}, found {found}); "
        f"install {libraries} that onnxruntime 1.99.0 was built for"
    )
    with pytest.raises(MissingExtraError) as raised:
        load_engine(name)
    assert str(raised.value) == message
    assert {status.name: status.problem for status in engine_status()}[name] == message
    assert capsys.readouterr().out == ""


def test_none_can_be_picked(fake_runtime):
    fake_runtime(works=(CPU,))
    with (
        pytest.warns(RuntimeWarning, match="fer-edge passes over an engine: the engine onnx-"),
        pytest.raises(MissingExtraError) as raised,
    ):
        pick_engine(["onnx-tensorrt", "onnx-cuda"])
    assert str(raised.value) == (
        'none of the engines onnx-tensorrt, onnx-cuda is installed; pip install "fer-edge[onnx]"'
    )


def test_a_provider_that_refuses_says_why(fake_runtime):
    fake_runtime(refuses="Please install TensorRT\n libraries.")
    with pytest.raises(
        MissingExtraError, match=r"^the engine onnx-tensorrt cannot be started \(Please install TensorRT"
    ):
        load_engine("onnx-tensorrt")
    assert load_engine("onnx").version() == "onnxruntime 1.99.0"


def test_a_fallback_after_the_start_is_an_error_too(fake_runtime, monkeypatch):
    runtime = fake_runtime()
    engine = load_engine("onnx-cuda")
    runtime.InferenceSession = lambda *_, **__: types.SimpleNamespace(get_providers=lambda: [CPU])
    with pytest.raises(EngineError, match=rf"^onnx-cuda: expected a session on {CUDA}, found {CPU}$"):
        engine.load(b"model", EngineOptions())


def test_messages_name_the_engine_that_was_asked_for(fake_runtime):
    fake_runtime()
    engine = load_engine("onnx-cuda")
    with pytest.raises(EngineError, match=r"^onnx-cuda: expected one file, found a model with separate weights$"):
        engine.load(b"model", EngineOptions(), weights=b"weights")
    with pytest.raises(EngineError, match=r"^onnx-cuda: ONNX Runtime has no reference kernels to choose"):
        engine.load(b"model", EngineOptions(reference_kernels=True))
    with pytest.raises(EngineError, match=r"^onnx-cuda cannot load the model: ."):
        engine.load(b"garbage", EngineOptions())


def test_the_smallest_model_is_one():
    session = installed_engine("onnx")._module.InferenceSession(onnx_module._SMALLEST_MODEL, providers=[CPU])
    assert [node.type for node in session.get_inputs()] == ["tensor(string)"]
    assert session.run(None, {"x": np.array(["text"], object)})[0].tolist() == ["text"]
