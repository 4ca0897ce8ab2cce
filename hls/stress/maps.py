"""Maps of random programs, in tile memory or in the DDR."""

from dataclasses import dataclass

from hls import isa
from hls.shapes import tiles


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
