"""Attributes of an ONNX node, and the padding that it asks for in one of ONNX's ways.

Attributes(node).get("strides", [1, 1])
"""

from onnx import helper

from export.onnx_reader.steps import unsupported


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
