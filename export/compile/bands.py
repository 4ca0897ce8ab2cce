"""Instructions on maps in the DDR: cut into bands of tile rows that fit the free part of tile memory.

    code = expand(isa.CONV, fields, free)     # MOVE in, CONV with its halos, MOVE out; for each band

A band is some tile rows of the output and the rows of the input that they are computed from, whole tile rows both, with
a tile row of the neighbouring bands above and below where the kernel reaches there. Bands are as high as the free
memory allows, and as alike as possible; where one band is the whole map, maps in tile memory are used where they lie.
A 1×1 AFFINE and the 1×1 convolution behind it share a band, so that the map between them is never moved.
"""

from export.compile.maps import Map, fit
from export.integers.layers8 import POOL_UNIT, scale_word
from hls import isa

MAX_PIECES = 4  # groups of channels that an AFFINE is cut into, before its bands get lower instead


class NoRoom(Exception):
    """No band fits; `words` would be needed besides the maps in tile memory."""

    def __init__(self, words):
        super().__init__(words)
        self.words = words


def plain(fields, **changes):
    """The fields with addresses in place of maps."""
    return {name: value.at if isinstance(value, Map) else value for name, value in (fields | changes).items()}


def expand(opcode, fields, free):
    """(opcode, fields) of the instructions that do what one does on maps that may lie in the DDR.

    `free`: ranges [start, words] of tile memory. Raises NoRoom.
    """
    if opcode == isa.GLOBAL_POOL:
        return _pool_by_channels(fields, free)
    if opcode == isa.MOVE:
        return [(opcode, plain(fields))]
    window = _Window(opcode, fields)
    for height in range(window.target.rows, 0, -1):
        addresses = fit(window.sizes(height), free)
        if addresses:
            code = []
            bands = even(window.target.rows, height)
            for first, last in bands:
                code += window.run(first, last, addresses, len(bands) == 1)
            return code + _pooled_after(fields, len(bands), free)
        if not window.may_be_cut:
            break
    raise NoRoom(sum(window.sizes(height)))


def even(total, most):
    """(first, last) of the fewest parts of at most `most`, as alike as possible."""
    count = -(-total // most)
    return [(total * i // count, total * (i + 1) // count) for i in range(count)]


def move(source, target, channels, words, mask=0):
    """MOVE between two (address, pitch)."""
    fields = {"input": source[0], "output": target[0], "channels": channels, "words": words}
    return isa.MOVE, fields | {"input_pitch": source[1], "output_pitch": target[1], "mask": mask}


def rows_of(item, first):
    """(address, pitch) of a map from tile row `first` on."""
    return item.at + first * item.across, item.tiles


class _Window:
    """An instruction that computes rows of its output from windows of rows of its input."""

    def __init__(self, opcode, fields):
        self.opcode, self.fields = opcode, fields
        self.source, self.target = fields["input"], fields["output"]
        adds = opcode == isa.CONV and fields["flags"] & isa.FLAG_ADD
        self.identity = fields["identity"] if adds else None
        self.kernel, self.stride = fields.get("kernel", 1), fields["stride"]
        padding = fields.get("padding", self.kernel // 2)
        self.above, self.below = padding > 0, self.kernel - padding - self.stride > 0
        self.may_be_cut = 2 * padding == self.kernel - 1 or not (self.above or self.below)

    @property
    def in_place(self):
        """Whether the sum replaces the identity."""
        return self.identity is not None and self.identity.is_same(self.target)

    def sizes(self, height):
        """Words of the buffers of input, output and identity for bands of `height` tile rows of the output."""
        source, target, whole = self.source, self.target, height == self.target.rows
        rows = min(source.rows, source.rows if whole else height * self.stride + self.above + self.below)
        result = target.channels * height * target.across
        ins = 0 if whole and not source.is_far else source.channels * rows * source.across
        outs = 0 if whole and not target.is_far else result
        apart = self.identity is not None and not self.in_place
        return [ins, outs, result if apart and (self.identity.is_far or not whole) else 0]

    def run(self, first, last, addresses, whole):
        """The band of the output's tile rows first … last - 1; addresses of -1 stand for maps used where they lie."""
        source, target, fields = self.source, self.target, self.fields
        top, bottom = self.above and first > 0, self.below and last < target.rows
        low = first * self.stride - top
        high = last * self.stride + bottom if last < target.rows else source.rows
        changes = {"input": source, "output": target, "identity": target if self.in_place else self.identity}
        height = min(isa.TILE * high, source.height) - isa.TILE * low
        changes["height"] = height
        before, after = [], []
        if addresses[0] >= 0:
            words, changes["input"] = (high - low) * source.across, addresses[0]
            here, mask = (addresses[0], words), fields.get("in_mask", 0)
            before.append(move(rows_of(source, low), here, source.channels, words, mask))
        words, mask = (last - first) * target.across, fields.get("out_mask", 0)
        if addresses[1] >= 0:
            here, changes["output"] = (addresses[1], words), addresses[1]
            if self.in_place:
                changes["identity"] = addresses[1]
                before.append(move(rows_of(target, first), here, target.channels, words, mask))
            after.append(move(here, rows_of(target, first), target.channels, words, mask))
        if addresses[2] >= 0:
            changes["identity"] = addresses[2]
            away = rows_of(self.identity, first)
            before.append(move(away, (addresses[2], words), target.channels, words, mask))
        if self.opcode != isa.CONV:
            del changes["identity"]
        elif changes["identity"] is None:
            changes["identity"] = changes["output"]
        if self.opcode == isa.CONV and not whole:
            changes["pool"] = -1
        if top or bottom:
            changes["flags"] = fields["flags"] | isa.FLAG_HALO_TOP * top | isa.FLAG_HALO_BOTTOM * bottom
        return [*before, (self.opcode, plain(fields, **changes)), *after]


def _pooled_after(fields, bands, free):
    """What a convolution in several bands leaves undone: the pooling of its whole output."""
    if bands == 1 or fields.get("pool", -1) < 0:
        return []
    target, relu = fields["output"], fields["flags"] & isa.FLAG_RELU
    pooled = {"flags": 0 if relu else isa.FLAG_IN_SIGNED, "input": target, "output": fields["pool"]}
    pooled |= {"channels": target.channels, "height": target.height, "width": target.width}
    pooled["scale"] = scale_word(POOL_UNIT / (target.height * target.width))
    return _pool_by_channels(pooled, free) if target.is_far else [(isa.GLOBAL_POOL, plain(pooled))]


def _pool_by_channels(fields, free):
    """GLOBAL_POOL of a map in the DDR: as many channels at a time as fit."""
    source, code = fields["input"], []
    start, words = max(free, key=lambda item: item[1], default=(0, 0))
    if words < source.tiles:
        raise NoRoom(source.tiles)
    for first, last in even(source.channels, words // source.tiles):
        away = source.at + first * source.tiles, source.tiles
        code.append(move(away, (start, source.tiles), last - first, source.tiles))
        changes = {"input": start, "output": fields["output"] + first, "channels": last - first}
        code.append((isa.GLOBAL_POOL, plain(fields, **changes)))
    return code


# ------------------------------------------------------------------------------------- AFFINE and the 1×1 behind it
def expand_pair(affine, conv, free):
    """The instructions of an AFFINE and of the 1×1 convolution that alone reads it, in bands that both run in."""
    source, target = affine["input"], conv["output"]
    for height in range(source.rows, 0, -1):
        buffers = _pair_buffers(source, target, height, free)
        if buffers:
            bands, code = even(source.rows, height), []
            for first, last in bands:
                code += _pair_band(affine, conv, first, last, buffers, len(bands) == 1)
            return code + _pooled_after(conv, len(bands), free)
    raise NoRoom((source.channels + target.channels) * source.across)


def _pair_buffers(source, target, height, free):
    """(address of the map between, address of the buffer for input and output, channels of input it takes) or None."""
    whole, channel = height == source.rows, height * source.across
    outs = 0 if whole and not target.is_far else target.channels * channel
    direct = whole and not source.is_far
    fewest = 0 if direct else -(-source.channels // MAX_PIECES) if height > 1 else 1
    placed = fit([source.channels * channel, max(outs, fewest * channel)], free)
    if not placed:
        return None
    middle, work = placed
    end = next((start + words for start, words in free if start <= work < start + words), 0)
    return middle, work, 0 if direct else min(source.channels, (end - work) // channel)


def _pair_band(affine, conv, first, last, buffers, whole):
    """Pieces of the input's channels through AFFINE, then the convolution; tile rows first … last - 1."""
    (middle, work, most), source, target = buffers, affine["input"], conv["output"]
    channel, code = (last - first) * source.across, []
    height = min(isa.TILE * last, source.height) - isa.TILE * first
    if not most:
        code.append((isa.AFFINE, plain(affine, output=middle)))
    for low, high in even(source.channels, most) if most else []:
        address, pitch = rows_of(source, first)
        away = address + low * source.tiles, pitch
        code.append(move(away, (work, channel), high - low, channel))
        changes = {"input": work, "output": middle + low * channel, "height": height}
        changes |= {"in_channels": high - low, "out_channels": high - low}
        code.append((isa.AFFINE, plain(affine, **changes, table=affine["table"] + low * isa.TABLE_ROW)))
    direct = whole and not target.is_far
    output = target.at if direct else work
    changes = {"input": middle, "output": output, "identity": output, "height": height}
    code.append((isa.CONV, plain(conv, **changes) | ({} if whole else {"pool": -1})))
    if not direct:
        code.append(move((work, channel), rows_of(target, first), target.channels, channel))
    return code
