"""Networks by shape, with random weights: what the engine's figures are taken on where no trained network is needed.

    compiled = densenet201()      # Compiled; its sample holds an image and the logits that it must have

Weights are drawn from `seed`, scales follow from one random image (export/compile/draft.py). Nothing here needs torch.
"""

from export.compile.draft import SPREAD, Draft, join
from hls import isa

STREAM = SPREAD // 2  # spread of what a residual block adds


def resnet(depth, size=32, classes=10, seed=0, tile_words=isa.TILE_WORDS):
    """The CIFAR ResNet of depth 6n + 2, its shortcuts without weights (He et al., CVPR 2016, 4.2, option A)."""
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth {depth}: expected 6n + 2, such as 20 or 74")
    return _residual([depth // 6] * 3, False, Draft(seed, size, classes, tile_words))


def resnet8(size=32, classes=10, seed=0, tile_words=isa.TILE_WORDS, filters=16):
    """The ResNet of MLPerf Tiny's image classification: a block a stack, projection shortcuts.

    12.5M MACs with its 16 filters in the first stack; with 40 it is the newer task IC02's, of 76.5M.
    """
    return _residual([1] * 3, True, Draft(seed, size, classes, tile_words), filters)


def _residual(blocks, projection, draft, filters=16):
    x = draft.convolve(draft.input, filters, 3)
    for stack, count in enumerate(blocks):
        for number in range(count):
            last = (stack, number) == (len(blocks) - 1, count - 1)
            x = _residual_block(draft, x, filters << stack, 2 if stack and not number else 1, projection, last)
    return draft.finish(x, pooled=True)


def _residual_block(draft, x, channels, stride, projection, last):
    """Two 3×3 convolutions onto the shortcut."""
    identity = x
    if stride == 2:
        identity = draft.convolve(x, channels, 1, 2, relu=False) if projection else draft.pad(x, channels)
    middle = draft.convolve(x, channels, 3, stride)
    return draft.convolve(middle, channels, 3, identity=identity, spread=STREAM, pool=last)


def densenet201(size=224, classes=1000, seed=0, tile_words=isa.TILE_WORDS):
    """DenseNet-201 (Huang et al., CVPR 2017, Table 1)."""
    return densenet((6, 12, 48, 32), 32, 64, size, classes, seed, tile_words)


def densenet(blocks, growth, stem, size, classes, seed=0, tile_words=isa.TILE_WORDS):
    """A DenseNet-BC: 7×7/2 and 3×3/2 stem of `stem` channels, then dense blocks of so many layers, compression 0.5."""
    draft = Draft(seed, size, classes, tile_words)
    # A block's map is signed, for its layers have no ReLU: half the spread, since the stem's upper half is cut off.
    x = draft.convolve(draft.input, stem, 7, 2, spread=SPREAD // 2)
    channels, height, width = stem, *(-(-n // 2) for n in x.codes.shape[1:])
    for number, layers in enumerate(blocks):
        whole = draft.new_map(channels + layers * growth, height, width)
        into = whole.map.part(0, channels)
        if number:
            x = draft.pool(x, 2, 2, average=True, signed=True, target=into)
        else:
            x = draft.pool(x, 3, 2, 1, signed=True, target=into)
        x = _dense_block(draft, whole, x, layers, growth)
        channels, height, width = len(x.codes) // 2, height // 2, width // 2
        x = draft.normalise(x)
        if number < len(blocks) - 1:
            x = draft.convolve(x, channels, 1, relu=False)
    return draft.finish(x)


def _dense_block(draft, whole, x, layers, growth):
    """Each layer reads all channels before it and puts its own behind them."""
    parts = [x]
    for _ in range(layers):
        before = join(whole, parts)
        bottleneck = draft.convolve(draft.normalise(before), 4 * growth, 1)
        behind = whole.map.part(len(before.codes), growth)
        parts.append(draft.convolve(bottleneck, growth, 3, relu=False, target=behind))
    return join(whole, parts)
