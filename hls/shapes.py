"""What follows from an instruction's fields: sizes of maps, bytes of weights, rows of tables (docs/engine.md, Numbers).

`fields` is an instruction as hls.program.decode gives it. Nothing is checked here: sizes of fields that
hls.program.validate refuses mean nothing.
"""

from hls import isa


def conv_out(size, stride):
    """Height or width of the output of CONV and AFFINE."""
    return -(-size // stride)


def tiles(height, width):
    """Words of tile memory that one channel takes."""
    return -(-height // isa.TILE) * -(-width // isa.TILE)


def has_halo(fields):
    """Whether a CONV or POOL works on a band of a map, with rows of the band above or below."""
    return bool(fields["flags"] & (isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM))


def halo_rows(fields):
    """Rows of the input that belong to the band above: one tile's, or none."""
    return isa.TILE if fields["flags"] & isa.FLAG_HALO_TOP else 0


def inner_rows(fields):
    """Rows of the input that have outputs: those between the halos."""
    height = fields["height"]
    if fields["flags"] & isa.FLAG_HALO_BOTTOM:
        height = isa.TILE * (-(-height // isa.TILE) - 1)
    return height - halo_rows(fields)


def output_size(fields):
    """(height, width) of the map that a CONV, AFFINE, POOL or IMAGE writes."""
    opcode, height, width = fields["opcode"], fields["height"], fields["width"]
    if opcode == isa.IMAGE:
        return height, width
    stride = fields["stride"]
    if opcode == isa.POOL:
        grow = 2 * fields["padding"] - fields["kernel"]
        across = (width + grow) // stride + 1
        return conv_out(inner_rows(fields), stride) if has_halo(fields) else (height + grow) // stride + 1, across
    return conv_out(inner_rows(fields) if opcode == isa.CONV else height, stride), conv_out(width, stride)


def row_bytes(count):
    """Bytes from one row of weights to the next."""
    return -(-count // isa.WEIGHT_ALIGN) * isa.WEIGHT_ALIGN


def filter_bytes(fields):
    """Bytes of one input channel's weights in a CONV's row: under an input mask each filter is aligned."""
    taps = fields["kernel"] ** 2
    return row_bytes(taps) if fields["in_mask"] else taps


def conv_row(fields):
    """Bytes of a CONV's row of weights: one output channel's."""
    return row_bytes(fields["in_channels"] * filter_bytes(fields))


def fetched_row(fields, active_in):
    """Bytes of weights fetched for one output channel: under an input mask, those of the active channels alone."""
    return active_in * filter_bytes(fields) if fields["in_mask"] else conv_row(fields)


def weight_size(fields):
    """Bytes of weights that an instruction refers to, whatever its masks."""
    opcode = fields["opcode"]
    if opcode == isa.IMAGE:
        return 256 * fields["channels"]
    if opcode == isa.CONV:
        return fields["out_channels"] * conv_row(fields)
    if opcode == isa.FC:
        return fields["outputs"] * row_bytes(fields["inputs"])
    if opcode == isa.LSTM:
        return 4 * fields["hidden"] * row_bytes(fields["inputs"] + fields["hidden"])
    return 0


def table_rows(fields):
    """Rows of (bias, scale) that an instruction refers to."""
    opcode = fields["opcode"]
    if opcode == isa.CONV:
        return 1 + fields["out_channels"]
    if opcode == isa.AFFINE:
        return fields["out_channels"]
    return {isa.FC: fields.get("outputs", 0), isa.LSTM: 4 * fields.get("hidden", 0)}.get(opcode, 0)
