"""An ONNX file as a model that is safe to walk: whole, in order, with all its weights within its own folder.

    model = load("model.onnx")           # onnx.ModelProto, external weights read in
    checked(model)                       # the same for one in memory

A file is not trusted: nothing outside its folder is read, and no size that it merely states is ever allocated.
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from export.onnx_reader.steps import label, printable
from hls.errors import UserError

MOST_BYTES = 1 << 29  # of a file, its weights besides
MOST_NODES = 4096  # the engine takes 8192 instructions
OPSETS = 7, 28  # of the main domain: before 7 batch norm and broadcasting meant something else
FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def load(path):
    """The checked ModelProto of a file. Raises UserError."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {path}: expected an ONNX model")
    data = _read(path, 0, None, path.name)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise UserError(f"{path} is cut short or no ONNX model: export it again") from None
    if not model.graph.node:
        raise UserError(f"{path} holds no nodes, expected an ONNX model: export it again")
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            _bring_in(tensor, path.resolve().parent)
    return checked(model)


def checked(model):
    """The model, its own functions written out. Raises UserError where it cannot be walked from input to output."""
    if model.functions:
        model = _without_functions(model)
    versions = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    low, high = OPSETS
    if len(versions) != 1 or not low <= versions[0] <= high:
        raise UserError(f"the model has opset {versions or 'none'}, expected one of {low} to {high}: export it again")
    if len(model.graph.node) > MOST_NODES:
        raise UserError(f"the model has {len(model.graph.node)} nodes, expected at most {MOST_NODES}")
    _check_order(model.graph)
    return model


def _without_functions(model):
    """Local functions written out where they are called."""
    calls = {(function.domain, function.name): function.node for function in model.functions}
    within = {key: [(node.domain, node.op_type) for node in nodes] for key, nodes in calls.items()}
    sizes = {}

    def size(key, above=()):
        if key in above or len(above) > 64:
            raise UserError(f"the model's function {printable(key[1])} calls itself: export it again")
        if key not in sizes:
            sizes[key] = sum(size(called, (*above, key)) if called in calls else 1 for called in within[key])
        return sizes[key]

    total = sum(size(key) if key in calls else 1 for node in model.graph.node for key in [(node.domain, node.op_type)])
    if total > MOST_NODES:
        raise UserError(f"the model has {total} nodes in its functions, expected at most {MOST_NODES}")
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner's own are of many kinds
        raise UserError(f"the model's functions cannot be written out: {printable(error)}: export without") from None


def _check_order(graph):
    """Each node reads what stands before it: no cycle, nothing undefined, nothing twice."""
    known = {""} | {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    if graph.sparse_initializer:
        raise UserError("the model has sparse weights, expected dense ones: export it again")
    made = {name for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            if name not in known:
                why = (
                    "which is made behind it: a cycle, or nodes out of order" if name in made else "which nothing makes"
                )
                raise UserError(f"{label(node)} reads {printable(name)}, {why}: export it again")
        for name in node.output:
            if name and name in known:
                raise UserError(f"{label(node)} makes {printable(name)}, which is there already: export it again")
            known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise UserError(f"the model's output {printable(value.name)} is made by no node: export it again")


def _tensors(graph):
    """Weights of a graph, and constants of its nodes; those of graphs within are never used."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _bring_in(tensor, folder):
    """Read a tensor's bytes from beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name, what = entries.get("location", ""), f"weights {printable(tensor.name)}"
    path = folder / name
    try:
        inside = bool(name) and "\0" not in name and path.resolve().is_relative_to(folder)
        there = inside and path.is_file()
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except (OSError, ValueError, RuntimeError):
        raise UserError(f"{what} have no usable place in a file: export again, with the weights in the model") from None
    if not inside:
        raise UserError(f"{what} lie in {printable(name)}, outside the model's folder: put that file beside the model")
    if not there:
        raise UserError(f"{what} lie in {printable(name)}, which is not beside the model: put it there")
    expected = _bytes_of(tensor, what)
    if length not in (-1, expected) or offset < 0 or offset + expected > path.stat().st_size:
        raise UserError(f"{what} need {expected} bytes, {printable(name)} has not as many there: export it again")
    for field in FIELDS:
        tensor.ClearField(field)
    tensor.raw_data = _read(path, offset, expected, name)
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _bytes_of(tensor, what):
    """Bytes that a tensor's shape and type ask for."""
    try:
        size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError):
        raise UserError(f"{what} have the unknown type {tensor.data_type}: export it again") from None
    for side in tensor.dims:
        size *= max(side, 0)
    return size


def _read(path, offset, count, name):
    """Some bytes of a file of bounded size."""
    size = path.stat().st_size if count is None else count
    if size > MOST_BYTES:
        raise UserError(f"{printable(name)} has {size} bytes, expected at most {MOST_BYTES}")
    with path.open("rb") as handle:
        handle.seek(offset)
        return handle.read(size)
