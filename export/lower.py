"""A quantised network as a program of the engine: instructions, weights, tables, and where every map lies.

    compiled = lower(network8)            # Compiled(program, weights, tables, …)
    stop_after(compiled.program, 0)       # the same program, leaving at the first exit

A block runs in place: its output lies where its identity lay, so a skipped block or channel costs nothing and copies
nothing. Maps are placed by first fit over their lifetimes; what a passed exit keeps lives until the next TAP.
"""

from dataclasses import dataclass

import numpy as np

from export.builder import Builder, LowerError, Map
from export.quantize import Exit8
from hls import isa
from hls.program import Limits, check, decode, encode

CHANNEL_MASK = 1


@dataclass(frozen=True)
class Compiled:
    """What a package holds besides its meta."""

    program: np.ndarray  # (n, INSTRUCTION_WORDS) int32
    weights: np.ndarray  # (bytes,) int8
    tables: np.ndarray  # (words,) int32
    gates: int
    classes: int
    tile_words: int  # of tile memory in use


def lower(network):
    """Compile a Network8. Raises LowerError when maps, instructions or gates exceed the engine's sizes."""
    shape, classes = network.shape, len(network.head.bias)
    widths = [len(conv.bias) for block in network.blocks for conv in _convolutions(block)]
    widest = max(*widths, classes, isa.MAX_HIDDEN)
    builder = Builder(widest)
    if 4 * widest > isa.VECTOR_WORDS or len(shape.gates) > isa.MAX_GATES:
        raise LowerError(f"{widest} channels or {len(shape.gates)} gates are more than the engine holds")
    image = builder.new_map(len(network.image_table), shape.size, shape.size)
    table = builder.add_weights(network.image_table.reshape(1, -1))
    builder.emit(isa.IMAGE, output=image, channels=image.channels, height=shape.size, width=shape.size, weights=table)
    stream = builder.convolve(network.stem, image)
    taps, gate = [], 0
    for block in network.blocks:
        stream = _lower_block(builder, network, block, stream, gate)
        gate += block.shape.gated
        if block.exit:
            taps.append(_lower_tap(builder, block.exit, stream, taps))
    builder.global_pool(stream, 0)
    builder.multiply(network.head, 0, 1)
    _end_of_life(builder, taps)
    _lower_exit(builder, classes, len(taps), network.exit_scale)
    for number, tap in enumerate(taps):
        builder.now, tap.fields["target"] = tap.time, len(builder.code)
        _lower_branch(builder, tap)
        _lower_exit(builder, classes, number, network.exit_scale)
    return _assemble(builder, network, image)


def stop_after(program, number):
    """The program that ends at exit `number`, whatever the budget; the last exit's is the program itself."""
    program = program.copy()
    for pc, words in enumerate(program):
        if int(words[0]) == isa.TAP and decode(words)["exit"] == number:
            program[pc + 1] = encode(isa.END)
    return program


def _assemble(builder, network, image):
    used = builder.place()
    program, weights = builder.encode(), np.frombuffer(bytes(builder.weights), np.int8)
    tables, gates, classes = np.array(builder.tables, np.int32), len(network.shape.gates), len(network.head.bias)
    image_bytes = image.channels * image.height * image.width
    check(program, Limits(len(program), len(weights), len(tables), image_bytes, gates, classes))
    return Compiled(program, weights, tables, gates, classes, used)


def _convolutions(block):
    gate = [block.channel_gate.conv] if block.channel_gate else []
    return [block.conv1, block.conv2, *gate, *(block.exit.convs if block.exit else ())]


def _lower_block(builder, network, block, source, gate):
    """One block; the map of its output, which is its identity's."""
    shape, mask = block.shape, 0
    stream = _lower_shortcut(builder, block, source)
    jump = None
    if block.embed is not None:
        jump = _lower_layer_gate(builder, network, block, source, gate)
    if block.channel_gate is not None:
        mask = CHANNEL_MASK
        builder.global_pool(builder.convolve(block.channel_gate.conv, source), 0)
        builder.multiply(block.channel_gate.linear, 0, 1)
        fields = {"channels": shape.channels, "threshold": 0, "mask": mask, "gate": gate}
        builder.emit(isa.GATE_CHANNEL, input=builder.vector(1), **fields)
    middle = builder.convolve(block.conv1, source, out_mask=mask)
    builder.convolve(block.conv2, middle, target=stream, identity=stream, in_mask=mask, out_mask=mask)
    if jump is not None:
        jump["target"] = len(builder.code)
    return stream


def _lower_shortcut(builder, block, source):
    """The identity's map: the input itself, its strided and padded copy in the new scale, or a projection."""
    shape = block.shape
    if block.projection is not None:
        return builder.convolve(block.projection, source)
    if not shape.reshapes:
        return source
    size = -(-source.height // shape.stride), -(-source.width // shape.stride)
    target = builder.new_map(shape.channels, *size)
    rows = np.zeros(shape.channels, np.int32), np.full(shape.channels, block.rescale, np.int32)
    builder.emit(
        isa.AFFINE,
        flags=isa.FLAG_RELU,
        input=source,
        output=target,
        in_channels=shape.in_channels,
        out_channels=shape.channels,
        height=source.height,
        width=source.width,
        stride=shape.stride,
        channel_offset=shape.channel_offset,
        table=builder.add_table(*rows),
    )
    return target


def _lower_layer_gate(builder, network, block, source, gate):
    """G^L: pool → FC → LSTM → FC → keep or jump; the gate's fields, whose target is still to be set."""
    builder.global_pool(source, 0)
    builder.multiply(block.embed, 0, 1)
    hidden = len(network.lstm.bias) // 4
    builder.emit(
        isa.LSTM,
        input=builder.vector(1),
        output=builder.vector(2),
        inputs=network.lstm.weight.shape[1] - hidden,
        hidden=hidden,
        weights=builder.add_weights(network.lstm.weight),
        table=builder.add_table(network.lstm.bias, network.lstm.scale),
    )
    builder.multiply(network.decision, 2, 3)
    fields = {"threshold": block.threshold, "gate": gate, "channels": block.shape.channels}
    return builder.emit(isa.GATE_LAYER, input=builder.vector(3), **fields)


@dataclass
class _Tap:
    """An exit that was passed: its branch, the map kept for it, its TAP's fields and time."""

    branch: Exit8
    kept: Map
    fields: dict
    time: int


def _lower_tap(builder, branch, stream, taps):
    """POOL to a kept map and TAP; the previous exit's kept map may be overwritten from the next instruction on."""
    kept = builder.max_pool(stream, branch.pool)
    time = len(builder.code)
    kept.touch(time)
    _end_of_life(builder, taps)
    return _Tap(branch, kept, builder.emit(isa.TAP, exit=len(taps), target=0, flops=0, cycles=0), time)


def _end_of_life(builder, taps):
    """What the last exit kept is needed up to the next instruction, and no longer."""
    if taps:
        taps[-1].kept.touch(len(builder.code))


def _lower_branch(builder, tap):
    """A classifier's subroutine up to its EXIT; it may run at its TAP, while the stream's map lives."""
    x = tap.kept
    for i, conv in enumerate(tap.branch.convs):
        x = builder.convolve(conv, builder.max_pool(x, 2) if i else x)
    builder.global_pool(x, 0)
    builder.multiply(tap.branch.linear, 0, 1)


def _lower_exit(builder, classes, number, scale):
    builder.emit(isa.EXIT, exit=number, input=builder.vector(1), classes=classes, scale=scale)
