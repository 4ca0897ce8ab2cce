"""Ranges that the engine's types do not tell: what checks, plans and tables guarantee of its fields and functions.

An HLS compiler finds some of them by itself, and uses what it finds; the estimate (resources.py) takes them all.
"""

from hls import isa

# What the checks before execution, or the plan, guarantee of fields whose type holds more.
KNOWN = {
    "Requantizer.multiplier": (-0xFFFF, 0xFFFF),  # 16 bits and a sign
    "Finish.bias": (-(2**31), 2**31 - 1),  # a word of a table
    "Requantizer.shift": (0, 63),
    "RowWeights.tap": (-127, 127),
    "PackedSum.high": (-(2**17), 2**17 - 1),
    "PackedSum.low": (-(2**17), 2**17 - 1),
    "PackedSum.carry": (0, 1),
    "ArrayMemory.sum": (-(2**27), 2**27 - 1),
    "ArrayMemory.result": (-(2**27), 2**27 - 1),
    "DrainMemory.pooled": (-(2**24), 2**24 - 1),
    "Rows.sum": (-(2**35), 2**35 - 1),  # VECTOR_WORDS + MAX_HIDDEN products of 8 and 16 bits
    "Rows.rows": (1, isa.VECTOR_WORDS),
    "Rows.row": (0, isa.VECTOR_WORDS + isa.WEIGHT_PORTS),
    "Rows.beats": (1, (isa.VECTOR_WORDS + isa.MAX_HIDDEN) // isa.PORT_BYTES),
    "Rows.beat": (0, (isa.VECTOR_WORDS + isa.MAX_HIDDEN) // isa.PORT_BYTES),
    "Rows.word": (0, 2**29 - 1),  # of 2^31 bytes, and two rows behind them
    "Operands.input": (0, isa.VECTOR_WORDS - 1),
    "Operands.inputs": (1, isa.VECTOR_WORDS),
    "Operands.hidden": (0, isa.MAX_HIDDEN),
    "Rows.cycles": (isa.WEIGHT_PORTS, isa.VECTOR_WORDS // isa.PORT_BYTES + isa.MAX_HIDDEN),
    "FinishedRows.sum": (-(2**36), 2**36),
    "FinishedRows.row": (0, isa.VECTOR_WORDS + isa.WEIGHT_PORTS),
    "FinishedRows.left": (0, isa.WEIGHT_PORTS),
    "FinishedRows.gate": (0, 4),
    "FinishedRows.unit": (0, isa.MAX_HIDDEN),
    "ImageSource.channels": (1, isa.MAX_CHANNELS),
    "ImageSource.first": (0, isa.MAX_CHANNELS - 1),
    "ImageSource.lanes": (1, isa.IMAGE_LANES),
    "ImageSource.before": (0, isa.PORT_BYTES - 1),
    "ImageSource.word": (0, 2**40 - 1),  # of all images of a batch
    "ImagePlace.row_byte": (0, 2**31 - 1),
    "ImagePlace.beat": (0, isa.TILE // isa.IMAGE_BYTES * isa.MAX_CHANNELS + 1),
    "ImageByte.channel": (0, isa.MAX_CHANNELS - 1),
    "ImageByte.pixel": (-isa.TILE, isa.TILE + isa.IMAGE_BYTES),
    "ImagePlace.y": (0, isa.TILE),
    "ReadyRow.lane": (0, isa.IMAGE_LANES),
    "ReadyRow.lanes": (0, isa.IMAGE_LANES),
    "ReadyRow.y": (0, isa.TILE - 1),
    "ReadyRow.columns": (0, isa.TILE),
    "ReadyRow.address": (0, isa.TILE_WORDS - 1),
    "Masks.channel": (0, isa.MAX_CHANNELS - 1),
}

# What functions return, where it is less than their type.
RETURNED = {
    "Clamp8": (-128, 255),
    "Distance": (0, 4 * isa.EXP_ENTRIES - 1),
    "Narrow16": (-(2**15), 2**15 - 1),
    "Multiply": (-(2**7) * (2**15 - 1), 2**22),
    "Sigmoid": (0, 2**15 - 1),
    "Tanh": (-(2**15), 2**15 - 1),
    "TileCount": (0, isa.MAX_MAP // isa.TILE),
    "Inside": (0, isa.TILE),
    "ActiveChannel": (0, isa.MAX_CHANNELS - 1),
    "ConvOut": (1, isa.MAX_MAP),
    "PixelValue": (-128, 255),
    "PartPixel": (-128, 255),
    "OddProduct": (0, 1),
    "NarrowPool": (-(2**24), 2**24 - 1),
    "WindowPixel": (-128, 255),
    "NarrowPixel": (-(2**8), 2**8 - 1),
    "NarrowPair": (-(2**24), 2**24 - 1),
    "SaturateSum": (-(2 ** (isa.SUM_BITS - 1)), 2 ** (isa.SUM_BITS - 1) - 1),
    "RequantizeTwice": (-(2**27), 2**27 - 1),
    "NarrowSum": (-(2**27), 2**27 - 1),
    "RequantizeByte": (-(2**25), 2**25),
    "SourceChannel": (0, isa.MAX_CHANNELS - 1),
    "StepRow": (-isa.TILE, 2 * isa.MAX_MAP),
    "StepColumn": (-isa.TILE, 2 * isa.MAX_MAP),
    "BankAddress": (0, isa.TILE_WORDS - 1),
    "DrainWord": (0, isa.TILE_WORDS - 1),
    "ReadableWeight": (-127, 127),
    "MultiplyPacked": (-(2**33), 2**33 - 1),
    "GroupChannels": (1, isa.OUT_LANES * isa.FOLD),
    "WindowBlocks": (1, 2),
    "DrainBlocks": (1, isa.TILE),
}
