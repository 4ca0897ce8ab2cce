"""Convolutions and pools of a map in the DDR, cut into bands."""

from hls import isa
from hls.program import encode
from hls.shapes import output_size, tiles


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
