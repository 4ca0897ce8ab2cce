"""Layers on the C++ and the RTL at once: what differs, in cycles and in words.

with Bench(path) as bench:  # of build.build()
    result = bench.run(layer, bus=(20, 80), held=50, seed=3)   # Result
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from bitstreams.lockstep import build
from bitstreams.lockstep.layers import golden
from hls import isa
from hls.shapes import output_size, tiles


@dataclass(frozen=True)
class Result:
    """What a layer came to.

    cycles: of the RTL until it was done. model_cycles: iterations of the C++. waits: cycles in which a stream was
    held back. differing_cycles: in which a register, a handshake or a write was not the C++'s.
    differing_words: of tile memory and of vector memory that the RTL left other than the golden model. what: the first
    difference, in cycle `first`.
    """

    cycles: int
    model_cycles: int
    waits: int
    differing_cycles: int
    differing_words: int
    first: int
    what: str

    @property
    def same(self):
        return not self.differing_cycles and not self.differing_words and self.cycles == self.model_cycles


class Bench:
    """A library of build.py with the memories of both sides, which stay from layer to layer."""

    def __init__(self, path, fault=0):
        self._library = build.load(path)
        self._bench = self._library.ddi_lockstep_open(fault)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._library.ddi_lockstep_close(self._bench)

    def run(self, layer, bus=(0, 0), held=0, seed=1):
        """The Result of a layer. bus: least and most cycles until a burst comes. held: per cent by which a gate in
        front of a stream, once shut, stays shut; 0 for open ones."""
        maps, vector = np.ascontiguousarray(layer.maps.copy()), layer.vector.copy()
        lists = np.zeros(build.LISTS, np.uint16)
        for index, channels in enumerate(layer.lists):
            lists[index, : len(channels)] = channels
        active = np.array([0, *map(len, layer.lists)], np.int32)
        arrays = layer.words, lists, active, _words(layer.weights), _words(layer.tables)
        given = build.Given(*(array.ctypes.data for array in arrays), *bus, held, seed, *_range(layer))
        report = build.Report()
        pointers = ctypes.byref(given), maps.ctypes.data, vector.ctypes.data, ctypes.byref(report)
        self._library.ddi_lockstep_run(self._bench, *pointers)
        tile_memory, vector_memory = golden(layer)
        differing = int((maps != tile_memory).any(1).sum()) + int((vector != vector_memory).sum())
        return Result(report.cycles, report.model_cycles, report.waits, report.differing_cycles, differing,
                      report.first_cycle, report.what.decode())  # fmt: skip


def _words(array):
    """A copy in whole words of a port, with one to spare."""
    size = -(-array.nbytes // isa.PORT_BYTES) * isa.PORT_BYTES + isa.PORT_BYTES
    words = np.zeros(size, np.uint8)
    words[: array.nbytes] = array.view(np.uint8)
    return words


def _range(layer):
    """First word and end of what is read back: the output, and a tile's width around it."""
    fields = layer.fields
    words = fields["out_channels"] * tiles(*output_size(fields))
    return max(0, fields["output"] - isa.TILE), min(isa.TILE_WORDS, fields["output"] + words + isa.TILE)
