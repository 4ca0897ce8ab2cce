"""The ONNX model in ONNX Runtime: the same logits and decisions at every exit, and skipped work is not in the path."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.float_network import FloatNetwork
from export.graph import ChannelGate, Convolution, LayerGate, walk
from export.onnx_graph import IR_VERSION, OPSET, onnx_model
from hls import isa
from tests.export.random_networks import VARIANTS, folded, normalise, random_case, random_images


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3  # the default exit is meant to be overridden
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_every_exit(case, count, seed):
    network, x = folded(case), normalise(case, random_images(case, count, seed))
    expected, session = FloatNetwork(network)(x), session_of(onnx_model(network, {}))
    layers, channels = decided(network, expected)
    for number, logits in enumerate(expected.logits):
        exits = {"exit": np.array(number)} if len(network.exits) > 1 else {}
        reached = np.array([gate.unit <= network.exits[number].unit for gate in network.gates])
        for image in range(len(x)):
            found = session.run(None, {"image": x[image : image + 1].contiguous().numpy(), **exits})
            np.testing.assert_allclose(found[0][0], logits[image].numpy(), rtol=1e-4, atol=1e-4)
            if network.gates:
                np.testing.assert_array_equal(found[1], np.where(reached, layers[image], -1))
                np.testing.assert_array_equal(found[2], np.where(reached, channels[image], -1))


def decided(network, out):
    """(N, gates) whether each unit ran, and its active channels."""
    trace = out.trace.numpy()
    return (trace != isa.TRACE_SKIPPED).astype(np.int64), np.maximum(trace, 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_equals_the_network_at_every_exit(name):
    check_every_exit(VARIANTS[name], 4, 7)


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_onnx_equals_any_network(seed):
    check_every_exit(random_case(seed), 2, seed)


def test_the_default_exit_is_the_last():
    case = VARIANTS["mixed"]
    network = folded(case)
    session = session_of(onnx_model(network, {"name": "n"}))
    feed = {"image": normalise(case, random_images(case, 1)).contiguous().numpy()}
    default = session.run(None, feed)
    for found, expected in zip(session.run(None, {**feed, "exit": np.array(len(network.exits) - 1)}), default):
        np.testing.assert_array_equal(found, expected)
    assert session.get_modelmeta().custom_metadata_map == {"name": "n"}


def test_versions_and_branches():
    network = folded(VARIANTS["papers, deeper"])
    model = onnx_model(network, {})
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    convolutions = sum(isinstance(node, Convolution) for node in walk(network.nodes))
    assert conditional_convolutions(model.graph) == (1, convolutions - 1)  # all but the stem
    gates = sum(isinstance(node, (LayerGate, ChannelGate)) for node in walk(network.nodes))
    assert gates == 2 * len(network.gates) == 12


def conditional_convolutions(graph):
    """(convolutions that always run, those inside an If at any depth)."""
    outside, inside = 0, 0
    for node in graph.node:
        outside += node.op_type == "Conv"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                inside += sum(conditional_convolutions(attribute.g))
    return outside, inside
