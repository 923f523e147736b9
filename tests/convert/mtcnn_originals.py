"""Networks in the layout of the published MTCNN files, with random weights: transposed pictures, channels first."""

from __future__ import annotations

import numpy as np

# Convolutions (name, kernel, channels), the pooling after each (window, padding), dense layer, heads and their lengths.
_LAYOUTS = {
    "pnet": {
        "convs": [("conv2d", 3, 10), ("conv2d_1", 3, 16), ("conv2d_2", 3, 32)],
        "pools": [(2, "SAME_UPPER"), None, None],
        "dense": None,
        "heads": [("conv2d_3", 2, "scores"), ("conv2d_4", 4, "offsets")],
    },
    "rnet": {
        "convs": [("conv2d_5", 3, 28), ("conv2d_6", 3, 48), ("conv2d_7", 2, 64)],
        "pools": [(3, "SAME_UPPER"), (3, "VALID"), None],
        "dense": ("dense", 128),
        "heads": [("dense_1", 2, "scores"), ("dense_2", 4, "offsets")],
    },
    "onet": {
        "convs": [("conv2d_8", 3, 32), ("conv2d_9", 3, 64), ("conv2d_10", 3, 64), ("conv2d_11", 2, 128)],
        "pools": [(3, "SAME_UPPER"), (3, "VALID"), (2, "SAME_UPPER"), None],
        "dense": ("dense_3", 256),
        "heads": [("dense_4", 2, "scores"), ("dense_5", 4, "offsets"), ("dense_6", 10, "landmarks")],
    },
}


def original_networks(seed: int) -> dict[str, bytes]:
    """Return ONNX files by network name; each takes normalised R, G, B (n, 3, x, y) as "pixels"."""
    rng = np.random.default_rng(seed)
    return {name: _network(name, layout, rng) for name, layout in _LAYOUTS.items()}


def _network(name: str, layout: dict, rng: np.random.Generator) -> bytes:
    import onnx
    from onnx import helper

    nodes, constants, outputs = [], [], []
    kind = onnx.TensorProto.FLOAT

    def constant(label: str, values: np.ndarray) -> str:
        constants.append(onnx.numpy_helper.from_array(values.astype(np.float32), label))
        return label

    def weights(label: str, shape: tuple[int, ...], fan_in: int, n_outputs: int) -> list[str]:
        kernel = constant(f"{label}/kernel:0", rng.normal(0, 1.4 / np.sqrt(fan_in), shape))
        return [kernel, constant(f"{label}/bias:0", rng.normal(0, 0.3, n_outputs))]

    def prelu(source: str, shape: tuple[int, ...]) -> str:
        # The published files give slopes generated names.
        slope = constant(f"const_fold_opt__{len(constants)}", rng.uniform(-0.3, 0.6, shape))
        nodes.append(helper.make_node("PRelu", [source, slope], [f"{source}/prelu"]))
        return f"{source}/prelu"

    x, n_inputs = "pixels", 3
    for (label, side, n_outputs), pool in zip(layout["convs"], layout["pools"], strict=True):
        shape = (n_outputs, n_inputs, side, side)
        nodes.append(helper.make_node("Conv", [x, *weights(label, shape, n_inputs * side**2, n_outputs)], [label]))
        x, n_inputs = prelu(label, (n_outputs, 1, 1)), n_outputs
        if pool:
            window, padding = pool
            nodes.append(
                helper.make_node(
                    "MaxPool", [x], [f"{x}/pool"], kernel_shape=[window] * 2, strides=[2, 2], auto_pad=padding
                )
            )
            x = f"{x}/pool"

    def dense(source: str, label: str, n_from: int, n_to: int) -> str:
        nodes.append(helper.make_node("Gemm", [source, *weights(label, (n_from, n_to), n_from, n_to)], [label]))
        return label

    if layout["dense"]:
        label, n_hidden = layout["dense"]
        # Channels go last before the map is read, (x, y, channel).
        nodes.append(helper.make_node("Transpose", [x], [f"{x}/last"], perm=[0, 2, 3, 1]))
        nodes.append(helper.make_node("Flatten", [f"{x}/last"], [f"{x}/flat"]))
        x = prelu(dense(f"{x}/flat", label, 9 * n_inputs, n_hidden), (n_hidden,))
        n_inputs = n_hidden
    for label, n_outputs, output in layout["heads"]:
        if layout["dense"]:
            head, shape = dense(x, label, n_inputs, n_outputs), [None, n_outputs]
        else:
            edges = weights(label, (n_outputs, n_inputs, 1, 1), n_inputs, n_outputs)
            nodes.append(helper.make_node("Conv", [x, *edges], [label]))
            head, shape = label, [None, n_outputs, None, None]
        nodes.append(helper.make_node("Identity", [head], [f"{name}/{output}"]))
        outputs.append(helper.make_tensor_value_info(f"{name}/{output}", kind, shape))

    source = helper.make_tensor_value_info("pixels", kind, [None, 3, None, None])
    graph = helper.make_graph(nodes, name, [source], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
