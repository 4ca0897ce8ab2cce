"""Operators on vectors, and those that make vectors of maps or only say a shape in another way."""

import numpy as np

from export.onnx_reader.access import Access
from export.onnx_reader.steps import unsupported


class Vectors(Access):
    """One method an operator."""

    def _op_gemm(self, node, attributes):
        x, weight, bias = self._vector(node), self._constant(node, 1, "weights"), self._constant(node, 2, "biases")
        across = bool(attributes.get("transB", 0))
        if attributes.get("transA", 0):
            raise unsupported(node, "a transposed first input", "transA = 0")
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        unit = self._unit(node.input[1], 0 if across else 1)
        if bias is not None and bias.size == 1:
            bias = np.full(weight.shape[0 if across else -1], float(bias.ravel()[0]))
        weight = (weight if across else weight.T) * alpha if weight.ndim == 2 else weight
        return self._linear(
            node, x, weight, None if bias is None else bias * beta, None if unit is None else unit * abs(alpha)
        )

    def _op_matmul(self, node, attributes):
        x, weight = self._vector(node), self._constant(node, 1, "weights")
        return self._linear(node, x, weight.T, None, self._unit(node.input[1], 1))

    def _vector(self, node):
        x = self._x(node)
        if x.size is not None or self.rank.get(node.input[0], 2) != 2:
            raise unsupported(node, "a product with a map", "Flatten or a global pool before it")
        return x

    def _linear(self, node, x, weight, bias, unit):
        if weight.ndim != 2 or weight.shape[1] != x.channels or (bias is not None and bias.size != len(weight)):
            raise unsupported(node, f"weights of shape {weight.shape} on {x.channels} values", "(outputs, inputs)")
        bias = np.zeros(len(weight)) if bias is None else bias.ravel()
        return self._step(node, "linear", [x], len(weight), None, weight=weight, bias=bias, unit=unit)

    def _op_flatten(self, node, attributes):
        if attributes.get("axis", 1) != 1:
            raise unsupported(node, f"axis {attributes.get('axis', 1)}", "axis 1")
        return self._flat(node)

    def _flat(self, node):
        x = self._x(node, turned=True)
        self._keep_rank(node, 2)
        if x.size is None:
            return x
        if x.size == (1, 1):
            return self._step(node, "mean", [x], x.channels, None)
        order = None
        if node.input[0] in self.behind:
            order = np.arange(x.channels * x.size[0] * x.size[1]).reshape(x.channels, -1).T.ravel()
        return self._step(node, "flatten", [x], x.channels * x.size[0] * x.size[1], None, order=order)

    def _op_reshape(self, node, attributes):
        x, shape = self._x(node, turned=True), self._integers(node, 1, attributes.get("shape"))
        total = x.channels * (x.size[0] * x.size[1] if x.size else 1)
        now = [self.batch, x.channels, *(x.size or ([1, 1] if self.rank.get(node.input[0]) == 4 else []))]
        if not attributes.get("allowzero", 0):
            shape = [now[i] if side == 0 and i < len(now) else side for i, side in enumerate(shape)]
        known = int(np.prod([side for side in shape if side != -1], dtype=np.float64))
        full = [self.batch * total // max(known, 1) if side == -1 else side for side in shape]
        if full == [self.batch, total] and (x.size or len(now) == 4 or full == now):
            return self._flat(node)
        if x.size is None and full == [self.batch, total, 1, 1]:
            self._keep_rank(node, 4)
            return x
        if full == now:
            return self._pass(node)
        raise unsupported(node, f"shape {shape[:8]} of a map {now}", f"({self.batch}, {total})")

    def _op_squeeze(self, node, attributes):
        axes = self._integers(node, 1, attributes.get("axes"))
        x = self._x(node)
        if x.size not in (None, (1, 1)) or sorted(axis % 4 for axis in axes or [2, 3]) != [2, 3]:
            raise unsupported(node, f"axes {axes}", "height and width of a map of one pixel")
        return self._flat(node)

    def _op_unsqueeze(self, node, attributes):
        axes = self._integers(node, 1, attributes.get("axes"))
        if self._x(node).size is not None or sorted(axis % 4 for axis in axes or []) != [2, 3]:
            raise unsupported(node, f"axes {axes}", "height and width behind a vector")
        self._keep_rank(node, 4)
        return self._x(node)

    def _op_transpose(self, node, attributes):
        x, perm = self._x(node, turned=True), attributes.get("perm", [3, 2, 1, 0])
        turned = node.input[0] in self.behind
        if perm == [0, 3, 1, 2] and turned:
            return x
        if perm == [0, 2, 3, 1] and not turned and (x.size or self.rank.get(node.input[0]) == 4):
            self.behind[node.output[0]] = True
            return x
        raise unsupported(node, f"axes {perm[:8]}", "channels moved behind height and width, or back")

    def _op_softmax(self, node, attributes):
        x = self._x(node)
        rank = self.rank.get(node.input[0], 2)
        axis = attributes.get("axis", -1 if self.constants.opset >= 13 else 1)
        if x.size is not None or axis not in (1, -1 if rank == 2 else 1):
            raise unsupported(
                node, f"a Softmax along axis {axis} of {'a map' if x.size else 'a vector'}", "one over the classes"
            )
        return self._step(node, "softmax", [x], x.channels, None)

    _op_logsoftmax = _op_softmax
