"""The study of agreement: an operation cut out of a network is the one within it, and what is left out is named."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).resolve().parents[2] / "benchmarks" / "studies"


@pytest.fixture(scope="module")
def study():
    pytest.importorskip("fer_edge_train", reason="fer_edge_train is not installed")
    sys.path.insert(0, str(STUDIES))
    spec = importlib.util.spec_from_file_location("agreement", STUDIES / "agreement.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["agreement"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(STUDIES))


@pytest.mark.host
def test_operations_cut_out_give_what_they_give_within_the_network(study, default_bundle):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    data = (default_bundle.path / "classifier_int8.tflite").read_bytes()
    operations = study.cut(data)
    images = np.random.default_rng(3).integers(0, 256, (2, 48, 48, 1), np.uint8)
    tensors = study.inner_tensors(data, images, {i for op in operations for i in (*op.inputs, op.output)})

    # The whole network, as anybody would run it: pixels less 128 are its input (scale 1/128, zero point 0).
    whole = litert.Interpreter(model_content=data, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
    whole.allocate_tensors()
    for row, image in enumerate(images):
        whole.set_tensor(whole.get_input_details()[0]["index"], (image.astype(int) - 128).astype(np.int8)[np.newaxis])
        whole.invoke()
        answer = whole.get_tensor(whole.get_output_details()[0]["index"])
        assert np.array_equal(tensors[operations[-1].output][row], answer)

    assert {"CONV_2D 3 x 3", "DEPTHWISE_CONV_2D 3 x 3", "ADD", "MEAN"} <= {op.kind for op in operations}
    for op in operations:
        single = litert.Interpreter(
            model_content=op.model, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
        )
        single.allocate_tensors()
        for row in range(len(images)):
            for detail, index in zip(single.get_input_details(), op.inputs, strict=True):
                single.set_tensor(detail["index"], tensors[index][row])
            single.invoke()
            found = single.get_tensor(single.get_output_details()[0]["index"])
            assert np.array_equal(found, tensors[op.output][row]), op.label


def answers(stored: list[list[int]]) -> dict[str, np.ndarray]:
    array = np.array(stored, np.int8)
    return {"int8/fast/stored": array, "int8/fast/probs": array.astype(np.float32) / 10}


def test_rows_join_machines_that_give_the_same_bytes(study):
    found = {
        ("here", "litert"): answers([[9, 1], [2, 8]]),
        ("old", "litert"): answers([[9, 1], [5, 4]]),
        ("same", "litert"): answers([[9, 1], [2, 8]]),
        ("broken", "litert"): {"int8/fast/error": np.array("no kernel")},
        ("without the engine", "litert"): {},
        ("here", "onnx"): answers([[1, 9], [1, 9]]),
    }
    network = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert list(study.answer_rows(found, "litert", "int8/fast", network)) == [
        ["litert", "int8", "here, same", "50.0", "100.0", "50.0", "0", "0"],
        ["litert", "int8", "old", "100.0", "50.0", "50.0", "1", "0.4"],
        ["litert", "int8", "broken", "failed: no kernel", "", "", "", ""],
    ]


def test_machines_that_cannot_be_emulated_are_named(study, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FER_EDGE_ARM64_ROOT", str(tmp_path))
    assert [machine.name for machine in study.machines(None)] == ["here"]
    skipped = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in skipped] == [
        "skipped Haswell",
        "skipped Nehalem",
        "skipped cortex-a72",
        "skipped cortex-a76",
    ]
    assert "apt-get install qemu-user-static" in skipped[0]
    assert "build_root.py" in skipped[2]
