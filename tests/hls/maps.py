"""Maps of test programs, in tile memory or in the DDR, and convolutions cut into bands of one."""

from dataclasses import dataclass

from hls import isa
from hls.program import encode
from hls.shapes import output_size, tiles


@dataclass(frozen=True)
class Map:
    """A map in tile memory, or in the DDR's map memory; `mask` holds the channels that are written, 0 for all."""

    base: int
    channels: int
    height: int
    width: int
    signed: bool
    mask: int = 0
    pitch: int = 0  # words from a channel to the next; 0 where there is no gap, as every instruction but MOVE wants it
    pooled: int = -1  # address of its pooled features, where a CONV has left them

    @property
    def far(self):
        return self.base >= isa.DDR_ADDRESS

    @property
    def tiles(self):
        return tiles(self.height, self.width)

    @property
    def words(self):
        return (self.channels - 1) * (self.pitch or self.tiles) + self.tiles

    @property
    def shape(self):
        return self.channels, self.height, self.width


def banded(fields, band_rows, far_input, far_output, near_input, near_output):
    """Instructions that run the CONV or POOL `fields` in bands: each is moved in with its halos, run, and moved out.

    `fields` are those of the whole map, which stands at `far_input` in the DDR (a channel hard behind the other) and
    whose result goes to `far_output`. A band has outputs for `band_rows` rows of the input, a multiple of
    TILE · stride; it is run from `near_input` to `near_output` in tile memory.
    """
    opcode, height, across = fields["opcode"], fields["height"], -(-fields["width"] // isa.TILE)
    channels = fields.get("in_channels", fields.get("channels"))
    out_channels = fields.get("out_channels", channels)
    out_height, out_width = output_size(fields)
    whole, out_whole, out_across = (
        tiles(height, fields["width"]),
        tiles(out_height, out_width),
        -(-out_width // isa.TILE),
    )
    code = []
    for first in range(0, height, band_rows):
        last = first + band_rows >= height
        top, end = max(first - isa.TILE, 0), height if last else min(first + band_rows + isa.TILE, height)
        flags = isa.FLAG_HALO_TOP * (first > 0) | isa.FLAG_HALO_BOTTOM * (not last)
        band = {**fields, "flags": fields["flags"] | flags, "height": end - top}
        words, out_words = tiles(end - top, fields["width"]), tiles(*output_size(band))
        out_first = first // fields["stride"] // isa.TILE * out_across
        code.append(encode(isa.MOVE, input=far_input + top // isa.TILE * across, output=near_input, channels=channels,
                           words=words, input_pitch=whole, output_pitch=words, mask=0))  # fmt: skip
        places = {name: value for name, value in band.items() if name != "opcode"}
        code.append(encode(opcode, **{**places, "input": near_input, "output": near_output}))
        code.append(encode(isa.MOVE, input=near_output, output=far_output + out_first, channels=out_channels,
                           words=out_words, input_pitch=out_words, output_pitch=out_whole, mask=0))  # fmt: skip
    return code
