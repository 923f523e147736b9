from __future__ import annotations

import gzip
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from convert.support import calibration_images, coded, compile_openvino, run_openvino

from fer_edge_convert.openvino_xml import compact_xml, packed_xml

SMALL = b"""<?xml version="1.0"?>
<net name="model" version="11">
	<layers>
		<layer id="0" name="pixels" type="Parameter" version="opset1">
			<data shape="?,2" element_type="f32" />
			<rt_info><attribute name="old_api" value="1" /></rt_info>
			<output><port id="0" names="pixels"><dim>-1</dim></port></output>
		</layer>
		<layer id="1" name="StatefulPartitionedCall/relu" type="ReLU" version="opset1">
			<input><port id="0"><dim>-1</dim></port></input>
			<output><port id="1" names="StatefulPartitionedCall/relu:0"><dim>-1</dim></port></output>
		</layer>
		<layer id="2" name="StatefulPartitionedCall/neg" type="Negative" version="opset1">
			<input><port id="0"><dim>-1</dim></port></input>
			<output><port id="1" names="logits"><dim>-1</dim></port></output>
		</layer>
		<layer id="3" name="logits/sink_port_0" type="Result" version="opset1">
			<input><port id="0"><dim>-1</dim></port></input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="1" to-port="0" />
		<edge from-layer="1" from-port="1" to-layer="2" to-port="0" />
		<edge from-layer="2" from-port="1" to-layer="3" to-port="0" />
	</edges>
	<rt_info><MO_version value="2026" /></rt_info>
</net>
"""


def test_packed_is_a_gzip_file_without_a_time():
    packed = packed_xml(SMALL)
    assert gzip.decompress(packed) == SMALL
    assert packed[4:8] == bytes(4)
    assert len(packed_xml(1000 * SMALL)) < 10 * len(SMALL)


def test_constants_of_the_same_bytes_become_one():
    def constant(number, shape, offset):
        return (
            f'<layer id="{number}" name="c{number}" type="Const" version="opset1">'
            f'<data element_type="f32" shape="{shape}" offset="{offset}" size="4" />'
            '<output><port id="0" precision="FP32" /></output></layer>'
        )

    constants = [constant(1, "", 0), constant(2, "", 4), constant(3, "", 0), constant(4, "1", 0), constant(5, "", 0)]
    edges = [
        f'<edge from-layer="{number}" from-port="0" to-layer="{9 if number == 5 else 8}" to-port="{number}" />'
        for number in range(1, 6)
    ]
    others = (
        '<layer id="8" name="sum" type="Concat" version="opset1" />'
        '<layer id="9" name="out" type="Result" version="opset1" />'
    )
    network = f"<net><layers>{''.join(constants)}{others}</layers><edges>{''.join(edges)}</edges></net>"
    found = ElementTree.fromstring(compact_xml(network.encode()))
    # The third has the first's bytes; the fourth another shape; the fifth is an answer of the network.
    assert [layer.get("id") for layer in found.iter("layer")] == ["1", "2", "4", "5", "8", "9"]
    assert [edge.get("from-layer") for edge in found.iter("edge")] == ["1", "2", "1", "4", "5"]


def test_what_is_left_of_a_small_file():
    assert compact_xml(SMALL).decode() == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<net name="model" version="11"><layers>'
        '<layer id="0" name="pixels" type="Parameter" version="opset1"><data shape="?,2" element_type="f32" />'
        '<output><port id="0" names="pixels"><dim>-1</dim></port></output></layer>'
        '<layer id="1" name="1" type="ReLU" version="opset1"><input><port id="0"><dim>-1</dim></port></input>'
        '<output><port id="1"><dim>-1</dim></port></output></layer>'
        '<layer id="2" name="2" type="Negative" version="opset1"><input><port id="0"><dim>-1</dim></port></input>'
        '<output><port id="1" names="logits"><dim>-1</dim></port></output></layer>'
        '<layer id="3" name="logits/sink_port_0" type="Result" version="opset1">'
        '<input><port id="0"><dim>-1</dim></port></input></layer>'
        "</layers><edges>"
        '<edge from-layer="0" from-port="0" to-layer="1" to-port="0" />'
        '<edge from-layer="1" from-port="1" to-layer="2" to-port="0" />'
        '<edge from-layer="2" from-port="1" to-layer="3" to-port="0" />'
        "</edges></net>"
    )


def test_a_second_time_changes_nothing():
    once = compact_xml(SMALL)
    assert compact_xml(once) == once


@pytest.mark.host
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_network_answers_the_same_under_the_same_names(openvino_files, precision):
    written = openvino_files.written[precision]
    compact, weights = getattr(openvino_files, precision)
    assert compact == compact_xml(written)
    assert len(compact) < 0.85 * len(written)
    assert b"rt_info" not in compact
    assert b"\t" not in compact
    assert {layer.get("name") for layer in ElementTree.fromstring(compact).iter("layer")} >= {"pixels"}
    assert not re.search(rb"shortcut|separable|StatefulPartitioned", compact)

    before, after = compile_openvino(written, weights), compile_openvino(compact, weights)
    assert [p.any_name for p in after.inputs] == [p.any_name for p in before.inputs] == ["pixels"]
    assert [p.any_name for p in after.outputs] == [p.any_name for p in before.outputs] == ["logits"]
    images = coded(calibration_images(6, seed=8))
    (expected,), (answer,) = run_openvino(written, weights, images), run_openvino(compact, weights, images)
    assert np.ptp(answer) > 0.1
    assert answer.tobytes() == expected.tobytes()
