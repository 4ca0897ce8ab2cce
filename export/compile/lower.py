"""A quantised network as a program of the engine: instructions, weights, tables, and where every map lies.

    compiled = lower(network8)            # Compiled(program, weights, tables, …)
    stop_after(compiled.program, 0)       # the same program, leaving at the first exit

A block runs in place: its output lies where its identity lay, so a skipped block or channel costs nothing and copies
nothing. Maps are placed by first fit over their lifetimes; what a passed exit keeps lives until the next TAP.
"""

from dataclasses import dataclass

import numpy as np

from export.compile.builder import Builder
from export.compile.layout import LowerError
from export.compile.maps import Map
from export.quantize import Exit8
from hls import isa
from hls.program import decode, encode

CHANNEL_MASK = 1
# Vectors. STREAM is the residual stream's global average, which no gate or classifier on the way may overwrite.
POOLED, PRODUCT, STREAM, HIDDEN, DECISION = range(5)


def lower(network, tile_words=isa.TILE_WORDS, fuse=True):
    """Compile a Network8. Raises LowerError when maps, instructions or gates exceed the engine's sizes.

    `tile_words`: of tile memory that may be used; `fuse`: pool in the convolution that writes a map, not behind it.
    """
    shape, classes = network.shape, len(network.head.bias)
    widths = [len(conv.bias) for block in network.blocks for conv in _convolutions(block)]
    widest, vectors = max(*widths, classes, isa.MAX_HIDDEN), (DECISION if network.lstm else STREAM) + 1
    if vectors * widest > isa.VECTOR_WORDS or classes > isa.MAX_CLASSES or len(shape.gates) > isa.MAX_GATES:
        found = f"{widest} channels, {classes} classes or {len(shape.gates)} gates"
        raise LowerError(f"{found} are more than the engine holds")
    builder = Builder(widest, tile_words, fuse)
    image = builder.image(network.image_table, shape.size, shape.size)
    stream = builder.convolve(network.stem, image, pool=STREAM if network.lstm else None)
    taps, gate = [], 0
    for block in network.blocks:
        fused = network.lstm or (block is network.blocks[-1] and not block.shape.gated)
        pool = STREAM if fused else None
        stream = _lower_block(builder, network, block, stream, gate, pool)
        gate += block.shape.gated
        if block.exit:
            taps.append(_lower_tap(builder, block.exit, stream, taps))
    if pool is None:  # inactive channels are not written, so not pooled either
        builder.global_pool(stream, STREAM)
    builder.multiply(network.head, STREAM, PRODUCT)
    _end_of_life(builder, taps)
    _lower_exit(builder, classes, len(taps), network.exit_scale)
    for number, tap in enumerate(taps):
        builder.now, tap.fields["target"] = tap.time, len(builder.steps)
        _lower_branch(builder, tap)
        _lower_exit(builder, classes, number, network.exit_scale)
    return builder.compile(image, len(shape.gates), classes)


def stop_after(program, number):
    """The program that ends at exit `number`, whatever the budget; the last exit's is the program itself."""
    program = program.copy()
    for pc, words in enumerate(program):
        if int(words[0]) == isa.TAP and decode(words)["exit"] == number:
            program[pc + 1] = encode(isa.END)
    return program


def _convolutions(block):
    gate = [block.channel_gate.conv] if block.channel_gate else []
    return [block.conv1, block.conv2, *gate, *(block.exit.convs if block.exit else ())]


def _lower_block(builder, network, block, source, gate, pool):
    """One block; the map of its output, which is its identity's, with its global average in vector `pool`.

    A skipped block and an inactive channel leave map and average as they are. Where the block makes a new map, its
    average takes the old one's place before the gates decide, but after the layer gate has read the old one.
    """
    shape, mask, jump = block.shape, 0, None
    if block.embed is not None:
        _lower_layer_logit(builder, network, block)
    stream = _lower_shortcut(builder, block, source, pool if shape.gated else None)
    if block.embed is not None:
        fields = {"threshold": block.threshold, "gate": gate, "channels": shape.channels}
        jump = builder.emit(isa.GATE_LAYER, input=builder.vector(DECISION), **fields)
    if block.channel_gate is not None:
        mask = CHANNEL_MASK
        builder.convolve(block.channel_gate.conv, source, pool=POOLED)
        builder.multiply(block.channel_gate.linear, POOLED, PRODUCT)
        fields = {"channels": shape.channels, "threshold": 0, "mask": mask, "gate": gate}
        builder.emit(isa.GATE_CHANNEL, input=builder.vector(PRODUCT), **fields)
    middle = builder.convolve(block.conv1, source, out_mask=mask)
    builder.convolve(block.conv2, middle, target=stream, identity=stream, in_mask=mask, out_mask=mask, pool=pool)
    if jump is not None:
        jump["target"] = len(builder.steps)
    return stream


def _lower_shortcut(builder, block, source, pool):
    """The identity's map: the input itself, its strided and padded copy in the new scale, or a projection."""
    shape = block.shape
    if block.projection is not None:
        return builder.convolve(block.projection, source, pool=pool)
    if not shape.reshapes:
        return source
    rows = np.zeros(shape.channels, np.int32), np.full(shape.channels, block.rescale, np.int32)
    return builder.affine(source, *rows, shape.channel_offset, shape.stride, pool=pool)


def _lower_layer_logit(builder, network, block):
    """G^L: the stream's average → FC → LSTM → FC."""
    builder.multiply(block.embed, STREAM, PRODUCT)
    hidden = len(network.lstm.bias) // 4
    builder.emit(
        isa.LSTM,
        input=builder.vector(PRODUCT),
        output=builder.vector(HIDDEN),
        inputs=network.lstm.weight.shape[1] - hidden,
        hidden=hidden,
        weights=builder.add_weights(network.lstm.weight),
        table=builder.add_table(network.lstm.bias, network.lstm.scale),
    )
    builder.multiply(network.decision, HIDDEN, DECISION)


@dataclass
class _Tap:
    """An exit that was passed: its branch, the map kept for it, its TAP's fields and time."""

    branch: Exit8
    kept: Map
    fields: dict
    time: int


def _lower_tap(builder, branch, stream, taps):
    """POOLs to a kept map and TAP; the previous exit's kept map may be overwritten from the next instruction on."""
    kept = builder.pool(stream, branch.pool, branch.pool, pinned=True)
    time = len(builder.steps)
    kept.touch(time)
    _end_of_life(builder, taps)
    return _Tap(branch, kept, builder.emit(isa.TAP, exit=len(taps), target=0, flops=0, cycles=0), time)


def _end_of_life(builder, taps):
    """What the last exit kept is needed up to the next instruction, and no longer."""
    if taps:
        taps[-1].kept.touch(len(builder.steps))


def _lower_branch(builder, tap):
    """A classifier's subroutine up to its EXIT; it may run at its TAP, while the stream's map lives."""
    x, last = tap.kept, len(tap.branch.convs) - 1
    for i, conv in enumerate(tap.branch.convs):
        x = builder.convolve(conv, builder.pool(x, 2, 2) if i else x, pool=POOLED if i == last else None)
    builder.multiply(tap.branch.linear, POOLED, PRODUCT)


def _lower_exit(builder, classes, number, scale):
    builder.emit(isa.EXIT, exit=number, input=builder.vector(PRODUCT), classes=classes, scale=scale)
