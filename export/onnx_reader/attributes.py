"""Attributes of an ONNX node, held against the operator's definition, and the padding that it asks for.

check(node, 17)                              # the attributes and the number of inputs of opset 17
Attributes(node).get("strides", [1, 1])
"""

from typing import Any

from onnx import AttributeProto, defs, helper

from export.onnx_reader.steps import label, printable, unsupported
from hls.errors import UserError

TYPES = dict(AttributeProto.AttributeType.items())  # name → number


def check(node, opset):
    """UserError where a node is none of its operator, as ONNX defines it in an opset."""
    try:
        schema: Any = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        raise UserError(f"{label(node)}: opset {opset} has no such operator: export it again") from None
    given = {item.name: item.type for item in node.attribute}
    lacking = [name for name, item in schema.attributes.items() if item.required and name not in given]
    if lacking:
        raise UserError(f"{label(node)} has no {', '.join(sorted(lacking))}, which it needs: export it again")
    for name, kind in given.items():
        if name not in schema.attributes or TYPES[schema.attributes[name].type.name] != kind:
            known = ", ".join(sorted(schema.attributes)) or "none"
            raise UserError(f"{label(node)} has an odd attribute {printable(name)}, expected of {known}: export again")
    if not schema.min_input <= len(node.input) <= schema.max_input:
        expected = f"{schema.min_input} to {schema.max_input}"
        raise UserError(f"{label(node)} has {len(node.input)} inputs, expected {expected}: export it again")


class Attributes(dict):
    """Name → value, lists as lists."""

    def __init__(self, node):
        super().__init__()
        for item in node.attribute:
            value = helper.get_attribute_value(item)
            self[item.name] = list(value) if isinstance(value, (list, tuple)) or hasattr(value, "add") else value


def pads_of(node, attributes, size, kernel, stride):
    """[top, left, bottom, right] of a window (its kernel with dilation) on a map."""
    way = attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if way in ("SAME_UPPER", "SAME_LOWER"):
        whole = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride)]
        small, large = [total // 2 for total in whole], [total - total // 2 for total in whole]
        return small + large if way == "SAME_UPPER" else large + small
    pads = attributes.get("pads", [0] * 4) if way == "NOTSET" else [0] * 4
    if way not in ("NOTSET", "VALID") or len(pads) != 4 or min(pads) < 0:
        raise unsupported(node, f"padding {way} {pads[:8]}", "four numbers of 0 or more")
    return list(pads)
