"""Maps and vectors of a program before and after they have an address. A map lies in tile memory (near) or in the DDR's
map memory (far).

stem = Map(64, 112, 112); stem.touch(3); stem.touch(5)     # alive from step 3 to step 5
words = place([stem, …])                                   # first fit over lifetimes
"""

from dataclasses import dataclass

from hls import isa
from hls.shapes import tiles


@dataclass(eq=False)
class Map:
    """A map, or some channels of one (`parent`); it keeps its place from step `first` to step `last`."""

    channels: int
    height: int
    width: int
    pinned: bool = False  # must lie in tile memory: an image, and whatever a classifier reads or writes
    first: int = -1
    last: int = -1
    address: int = -1
    far: bool = False
    parent: "Map | None" = None
    offset: int = 0  # channels of the parent before the first of these
    skip: int = 0  # words before them besides

    @property
    def root(self):
        """The map that has a place of its own."""
        return self.parent or self

    @property
    def is_far(self):
        """Whether it lies in the DDR."""
        return self.root.far

    @property
    def rows(self):
        """Rows of tiles."""
        return -(-self.height // isa.TILE)

    @property
    def across(self):
        """Tiles of a row."""
        return -(-self.width // isa.TILE)

    @property
    def tiles(self):
        """Words of a channel."""
        return tiles(self.height, self.width)

    @property
    def words(self):
        """Words of memory."""
        return self.channels * self.tiles

    @property
    def at(self):
        """The address that an instruction takes."""
        root = self.root
        return root.address + self.offset * self.tiles + self.skip + isa.DDR_ADDRESS * root.far

    def part(self, offset, channels):
        """Its `channels` channels from `offset` on, in place."""
        assert offset + channels <= self.channels, (self, offset, channels)
        return Map(channels, self.height, self.width, parent=self.root, offset=self.offset + offset, skip=self.skip)

    def framed(self, height, width):
        """The same words as a map of another size that takes as many tiles."""
        found = Map(self.channels, height, width, parent=self.root, offset=self.offset, skip=self.skip)
        assert (found.rows, found.across) == (self.rows, self.across), (self, height, width)
        return found

    def from_row(self, first):
        """The map from tile row `first` on, to be moved: its channels are `tiles` of the whole apart."""
        return Map(
            self.channels,
            self.height,
            self.width,
            parent=self.root,
            offset=self.offset,
            skip=self.skip + first * self.across,
        )

    def is_same(self, other):
        """Whether both are the same words."""
        return self.root is other.root and (self.at, self.channels) == (other.at, other.channels)

    def touch(self, step):
        """Be alive at `step`."""
        root = self.root
        root.first, root.last = (step if root.first < 0 else min(root.first, step)), max(root.last, step)

    def lives(self, step):
        """Whether it is alive at `step`."""
        return self.first <= step <= self.last


@dataclass(eq=False)
class Vector:
    """Words of vector memory, kept from step `first` to step `last`."""

    words: int
    first: int = -1
    last: int = -1
    address: int = -1
    parent: "Vector | None" = None
    offset: int = 0  # words of the parent before the first of these

    @property
    def at(self):
        """The index that an instruction takes."""
        return self.address if self.parent is None else self.parent.address + self.offset

    def part(self, offset, words):
        """Its `words` words from `offset` on, in place."""
        assert self.parent is None and offset + words <= self.words, (self, offset, words)
        return Vector(words, parent=self, offset=offset)

    def touch(self, step):
        """Be alive at `step`."""
        root = self.parent or self
        root.first, root.last = (step if root.first < 0 else min(root.first, step)), max(root.last, step)


def place(maps):
    """Give every map of one memory an address by first fit over their lifetimes; the words in use."""
    placed = []
    for item in sorted(maps, key=lambda m: (m.first, -m.words)):
        placed = [other for other in placed if other.last >= item.first]  # none of the others will be met again
        item.address = 0
        for other in sorted(placed, key=lambda m: m.address):
            if other.address < item.address + item.words and item.address < other.address + other.words:
                item.address = other.address + other.words
        placed.append(item)
    assert_apart(maps)
    return max((item.address + item.words for item in maps), default=0)


def assert_apart(maps):
    """No two maps that live at one time share a word."""
    placed = []
    for item in sorted(maps, key=lambda m: m.first):
        placed = [other for other in placed if other.last >= item.first]
        for other in placed:
            apart = item.address + item.words <= other.address or other.address + other.words <= item.address
            assert apart, f"maps {item} and {other} overlap"
        placed.append(item)


def gaps(maps, size):
    """The free ranges [start, words] between placed maps in a memory of `size` words."""
    found, start = [], 0
    for item in sorted(maps, key=lambda m: m.address):
        if item.address > start:
            found.append([start, item.address - start])
        start = max(start, item.address + item.words)
    return found + ([[start, size - start]] if start < size else [])


def fit(sizes, free):
    """Addresses of buffers of so many words in the `free` ranges, each in the smallest that takes it, or None."""
    free, addresses = [list(item) for item in free], {}
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if sizes[index] == 0:
            addresses[index] = -1
            continue
        enough = [item for item in free if item[1] >= sizes[index]]
        if not enough:
            return None
        best = min(enough, key=lambda item: item[1])
        addresses[index] = best[0]
        best[0], best[1] = best[0] + sizes[index], best[1] - sizes[index]
    return [addresses[index] for index in range(len(sizes))]
