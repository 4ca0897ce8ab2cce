"""The ONNX model in ONNX Runtime: the same logits and decisions at every exit, and skipped work is not in the path."""

import numpy as np
import onnx
import onnxruntime
import pytest

from export import fold
from export.onnx_graph import IR_VERSION, OPSET, onnx_model
from hls import isa
from tests.export.random_networks import VARIANTS, network_of, normalise, random_images, random_model


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3  # the default exit is meant to be overridden
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_onnx_equals_the_network_at_every_exit(variant):
    network = fold.fold(random_model(network_of(variant)))
    x = normalise(random_images(8, 7))
    expected, session = fold.forward(network, x), session_of(onnx_model(network, {}))
    keep = expected.layer_keep.numpy()
    trace = expected.trace().numpy()
    assert (trace == isa.TRACE_SKIPPED).any() or not variant[1], "some blocks should be skipped"
    for number, logits in enumerate(expected.logits):
        exits = {"exit": np.array(number)} if network.exits else {}
        for image in range(len(x)):
            found = session.run(None, {"image": x[image : image + 1].contiguous().numpy(), **exits})
            np.testing.assert_allclose(found[0][0], logits[image].numpy(), rtol=1e-4, atol=1e-4)
            if network.gates:
                reached = reached_gates(network, number)
                np.testing.assert_array_equal(found[1], np.where(reached, keep[image], -1))
                np.testing.assert_array_equal(found[2], np.where(reached, np.maximum(trace[image], 0), -1))


def reached_gates(network, number):
    """(gates,) bool: which gates lie before exit `number`."""
    last = [*network.exits, len(network.blocks)][number]
    return np.array([block <= last for block in network.gates])


def test_the_default_exit_is_the_last():
    network = fold.fold(random_model(network_of(VARIANTS[1])))
    session = session_of(onnx_model(network, {"name": "n"}))
    feed = {"image": normalise(random_images(1)).contiguous().numpy()}
    default = session.run(None, feed)
    for found, expected in zip(session.run(None, {**feed, "exit": np.array(len(network.exits))}), default):
        np.testing.assert_array_equal(found, expected)
    assert session.get_modelmeta().custom_metadata_map == {"name": "n"}


def test_versions_and_branches():
    network = fold.fold(random_model(network_of(VARIANTS[1])))
    model = onnx_model(network, {})
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    assert conditional_convolutions(model.graph) == (1, network_convolutions(network))


def conditional_convolutions(graph):
    """(convolutions that always run, those inside an If at any depth)."""
    outside, inside = 0, 0
    for node in graph.node:
        outside += node.op_type == "Conv"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                inside += sum(conditional_convolutions(attribute.g))
    return outside, inside


def network_convolutions(network):
    return sum(2 + (b.channel_gate is not None) + len(b.exit.convs if b.exit else ()) for b in network.blocks)
