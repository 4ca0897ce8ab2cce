"""Ranges that the engine's types do not tell: what checks, plans and tables guarantee of its fields and functions.

An HLS compiler finds some of them by itself, and uses what it finds; the estimate of hls/resources.py takes them all.
"""

from hls import isa

# What the checks before execution, or the plan, guarantee of fields whose type holds more.
KNOWN = {
    "Scale.multiplier": (-0xFFFF, 0xFFFF),  # 16 bits and a sign, from DecodeScale
    "Finish.bias": (-(2**31), 2**31 - 1),  # a word of a table
    "Scale.shift": (0, 63),
    "ConvShape.kernel": (1, isa.MAX_KERNEL),
    "ConvShape.stride": (1, 2),
    "ConvShape.fold": (1, isa.FOLD),
    "ConvShape.row": (0, isa.LANE_BYTES),
    "ConvShape.filter_bytes": (0, 56),
    "ConvShape.active_in": (0, isa.MAX_CHANNELS),
    "ConvShape.active_out": (0, isa.MAX_CHANNELS),
    "GroupKind.mode": (0, 2),
    "GroupKind.channels": (1, isa.OUT_LANES * isa.FOLD),
    "GroupKind.tiles": (1, 2),
    "GroupPlace.kind": (0, 3),
    "GroupPlace.sequence": (0, isa.MAX_CHANNELS),
    "FetchPlace.rows": (0, isa.OUT_LANES * isa.FOLD),
    "FetchPlace.beat": (0, isa.BURST // isa.PORT_BYTES),
    "GatherPlace.down": (0, isa.WINDOW // isa.TILE - 1),
    "GatherPlace.across": (0, isa.WINDOW // isa.TILE - 1),
    "GatherPlace.channel": (0, isa.MAX_CHANNELS),
    "MultiplyPlace.channel": (0, isa.MAX_CHANNELS),
    "MultiplyPlace.row": (0, isa.MAX_KERNEL - 1),
    "MultiplyPlace.column": (0, isa.MAX_KERNEL - 1),
    "DrainPlace.block": (0, isa.TILE**2 // isa.DRAIN - 1),
    "DrainPlace.result": (0, isa.OUT_LANES * isa.FOLD - 1),
    "Map.height": (1, isa.MAX_MAP),
    "Map.width": (1, isa.MAX_MAP),
    "Map.columns": (1, isa.MAX_MAP // isa.TILE),
    "Map.tiles": (1, (isa.MAX_MAP // isa.TILE) ** 2),
    "Map.address": (0, isa.TILE_WORDS - 1),
    "Pool.kernel": (1, isa.MAX_KERNEL),
    "Pool.stride": (1, isa.MAX_KERNEL),
    "Pool.reads_across": (1, isa.WINDOW // isa.TILE),
    "Affine.stride": (1, 2),
    "Rows.sum": (-(2**35), 2**35 - 1),  # VECTOR_WORDS + MAX_HIDDEN products of 8 and 16 bits, and a bias
    "Rows.rows": (1, isa.VECTOR_WORDS),
    "Rows.row": (0, isa.VECTOR_WORDS + isa.WEIGHT_PORTS),
    "Rows.beats": (1, (isa.VECTOR_WORDS + isa.MAX_HIDDEN) // isa.PORT_BYTES),
    "Rows.beat": (0, (isa.VECTOR_WORDS + isa.MAX_HIDDEN) // isa.PORT_BYTES),
    "Rows.word": (0, 2**29 - 1),  # of 2^31 bytes, and two rows behind them
    "Operands.input": (0, isa.VECTOR_WORDS - 1),
    "Operands.inputs": (1, isa.VECTOR_WORDS),
    "Operands.hidden": (0, isa.MAX_HIDDEN),
    "UnitPlace.gate": (0, 4),
    "UnitPlace.unit": (0, isa.MAX_HIDDEN),
    "Masks.channel": (0, isa.MAX_CHANNELS - 1),
}

# What functions return, where it is less than their type.
RETURNED = {
    "Clamp8": (-128, 255),
    "Saturate16": (-(2**15), 2**15 - 1),
    "Multiply": (-(2**7) * (2**15 - 1), 2**22),
    "Sigmoid": (0, 2**15 - 1),
    "Tanh": (-(2**15), 2**15 - 1),
    "TileCount": (0, isa.MAX_MAP // isa.TILE),
    "Inside": (0, isa.TILE),
    "ActiveChannel": (0, isa.MAX_CHANNELS - 1),
    "ConvOut": (1, isa.MAX_MAP),
    "PooledValue": (-128, 255),
}
