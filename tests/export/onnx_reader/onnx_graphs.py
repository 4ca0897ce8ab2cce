"""Random ONNX networks of the supported operators.

graph = random_graph(7); expected = run_onnx(graph.model(), x)
"""

import numpy as np

from bench.networks.onnx_writer import Writer


def random_graph(seed):
    """A Writer with a random network: any operators, joined as they come, behind each other and across."""
    rng = np.random.default_rng(seed)
    writer = Writer(int(rng.choice([1, 3])), tuple(int(n) for n in rng.integers(6, 21, 2)), seed)
    maps = ["image"]
    for _ in range(rng.integers(2, 9)):
        maps.append(_grow(writer, rng, maps))
    x = maps[-1]
    if rng.random() < 0.5 and max(writer.shapes[x][1:]) <= 8 and np.prod(writer.shapes[x]) <= 600:
        v = writer.flatten(x)
    elif rng.random() < 0.2:
        v = writer.node(
            "Flatten", [writer.node("GlobalMaxPool", [x], (writer.shapes[x][0], 1, 1))], writer.shapes[x][:1]
        )
    else:
        v = writer.mean(x)
    if rng.random() < 0.3:
        v = writer.norm(v)
    if rng.random() < 0.3:
        v = writer.relu(writer.gemm(v, int(rng.integers(3, 20))))
    v = writer.gemm(v, int(rng.integers(2, 11))) if rng.random() < 0.9 else v
    if rng.random() < 0.3:
        writer.node("Identity", [v], writer.shapes[v])
    return writer


def _grow(writer, rng, maps):
    """One more map from those that there are."""
    x = maps[-1] if rng.random() < 0.8 else maps[int(rng.integers(len(maps)))]
    channels, height, width = writer.shapes[x]
    kinds = ["conv", "conv", "conv", "norm", "relu", "clip", "add", "concat", "max", "average", "line"]
    kind = str(rng.choice(kinds))
    if kind == "conv":
        return _random_conv(writer, rng, x)
    if kind == "clip":
        return writer.clip(x, *[(0, 6), (0, 1), (-1, 1), (0, None)][rng.integers(4)])
    alike = [other for other in maps if writer.shapes[other][1:] == (height, width)]
    other = alike[int(rng.integers(len(alike)))]
    if kind == "add":
        if writer.shapes[other][0] != channels:
            other = writer.conv(other, channels, 1)
        return writer.add(x, other)
    if kind == "concat" and channels + writer.shapes[other][0] <= 40:
        return writer.concat(*([x, other] if rng.random() < 0.8 else [other, x, x]))
    if kind in ("max", "average") and min(height, width) >= 4:
        kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 3))
        padding = int(rng.integers(2)) if kernel == 3 else 0
        if kind == "max":
            return writer.pool(x, "MaxPool", kernel, stride, (padding,) * 4)
        return writer.pool(x, "AveragePool", kernel, stride, (padding,) * 4, count_include_pad=1)
    if kind == "line":
        factor = writer.constant(rng.uniform(0.5, 1.5, (channels, 1, 1)).astype(np.float32))
        return writer.node(str(rng.choice(["Mul", "Div", "Add", "Sub"])), [x, factor], writer.shapes[x])
    return writer.relu(x) if kind == "relu" else writer.norm(x)


def _random_conv(writer, rng, x):
    """Any kernel, stride, dilation, groups and padding that the engine takes."""
    channels, *size = writer.shapes[x]
    kernel = (
        tuple(int(k) for k in (rng.integers(1, 6), rng.integers(1, 6)))
        if rng.random() < 0.3
        else int(rng.choice([1, 2, 3, 3, 3, 4, 5]))
    )
    stride, dilation = int(rng.choice([1, 1, 1, 2, 2, 4])), 1
    sides = (kernel,) * 2 if isinstance(kernel, int) else kernel
    if max(sides) <= 3 and rng.random() < 0.2:
        dilation = 2
    far = [(k - 1) * dilation + 1 for k in sides]
    total = [int(rng.integers(0, f)) for f in far]  # never more than keeps the size
    if rng.random() < 0.5:
        total = [f - 1 for f in far]
    before = [int(rng.integers(max(0, t - 3), min(t, 3) + 1)) for t in total]
    if any(n + t < f for n, t, f in zip(size, total, far)):
        return writer.conv(x, int(rng.integers(1, 13)), 1)
    group = channels if channels in (2, 3, 4) and rng.random() < 0.2 else 1
    outputs = int(rng.integers(1, 5)) * group if group > 1 else int(rng.integers(1, 17))
    pads = [*before, *(t - b for t, b in zip(total, before))]
    return writer.conv(x, outputs, kernel, stride, pads, bool(rng.random() < 0.7), dilation, group)
