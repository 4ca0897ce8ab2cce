"""Modelled energy of an image: the papers' Eq. 6 on the engine's own counters.

    energy = modelled(results, catalog.read())           # joule (N,), levels, source
    energy = modelled(results, board, coefficients)     # coefficients fitted to measurements: host/energy/fit.py

Wang et al., JSTSP 2020, Eq. 6: E = Σ accesses to level i × e_i + MACs × e_MAC, with three memory levels (main memory,
cache, registers). Here the counts are not simulated but derived from what the engine's record says it did:

mac        FLOPs / 2, of the record
register   one update of an accumulator a MAC
block_ram  bytes: weights written, and MACs × MAC_BLOCK_RAM, what leaves the memories for one
ddr        bytes: weights fetched, of the record, and INSTRUCTION_WORDS × 4 an instruction
static     seconds at the board's clock, from the record's cycles (modelled schedule); no term of Eq. 6

What a MAC reads, bytes as they leave the memories whether used or not:

weights    in each cycle of MULTIPLICATIONS products, PORT_BYTES of every lane that the engine has, OUT_LANES · FOLD:
           its ROW_TAPS weights stand somewhere in them. OUT_LANES of the lanes feed TILE² pixels each, or all of
           them PART²; the rest of what was read is not used
pixels     a window is read once for each input channel of a step, window_reads × TILE² bytes, and then moves in
           registers: it feeds TILE² · OUT_LANES outputs (a part fewer pixels and more channels, the same product)
           times the kernel's k² taps. k is KERNEL here, for no counter has it: 7 × 7 kernels read a fifth of that,
           1 × 1 more than twice as much

Left out, because no counter has them: the pixels of the image and the record itself (a few kilobytes an image), maps
as they are written and added (a byte or two for an output's many MACs), and cycles that fill the array in part (a tail
of channels or pixels, taps beyond a kernel's row). All is linear in FLOPs, weight bytes, instructions and cycles,
which is what lets an energy budget be kept by the engine's limits (`worst_case`).
"""

from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.schedule import MULTIPLICATIONS, window_reads
from host.board.catalog import LEVELS

KERNEL = 3  # of the convolutions that nearly all MACs of the packages' networks belong to
WEIGHT_READS = isa.OUT_LANES * isa.FOLD * isa.PORT_BYTES / MULTIPLICATIONS  # bytes a MAC
PIXEL_READS = window_reads(KERNEL, 1) / (isa.OUT_LANES * KERNEL**2)
MAC_BLOCK_RAM = WEIGHT_READS + PIXEL_READS
INSTRUCTION_BYTES = 4 * isa.INSTRUCTION_WORDS


@dataclass(frozen=True)
class ModelledEnergy:
    """Joules of each image; `levels` has the part of each of LEVELS; `source` says where the coefficients are from."""

    joule: np.ndarray  # (N,) float64
    levels: dict  # name → (N,) float64
    kind: str
    source: str
    fitted: bool = False  # to measured energy above idle

    @property
    def joule_per_image(self):
        """The mean over the images."""
        return float(self.joule.mean())

    @property
    def above_static(self):
        """Joules of each image without the static part."""
        return self.joule - self.levels["static"]

    @property
    def above_idle(self):
        """Joules of each image to compare with a measurement that has idle subtracted.

        The static part is there in idle too, unless it was fitted to such measurements.
        """
        return self.joule if self.fitted else self.above_static


def modelled(results, board, coefficients=None):
    """The ModelledEnergy of hls.record.Results, by the board's coefficients or by those given. UserError without."""
    coefficients = coefficients or of(board)
    counts = _counts(results, board)
    levels = {name: getattr(coefficients, name) * counts[name] for name in LEVELS}
    return ModelledEnergy(sum(levels.values()), levels, "modelled", coefficients.source, coefficients.fitted)


def of(board):
    """The board's coefficients. UserError when its file has none."""
    if board.energy is None:
        raise UserError(f"board {board.name} has no [energy] coefficients: add them, as in boards/zedboard.toml")
    return board.energy


def _counts(results, board):
    """Level → what its coefficient counts, (N,) float64."""
    macs = np.asarray(results.flops, np.float64) / 2
    weight_bytes = np.asarray(results.weight_bytes, np.float64)
    return {
        "mac": macs,
        "register": macs,
        "block_ram": macs * MAC_BLOCK_RAM + weight_bytes,
        "ddr": weight_bytes + INSTRUCTION_BYTES * np.asarray(results.instructions, np.float64),
        "static": np.asarray(results.cycles, np.float64) / board.clock_hz,
    }


def rates(board, coefficients=None):
    """(J a FLOP, J a cycle) such that no image takes more than FLOPs × the first + cycles × the second.

    Of the record's four counters the engine limits two, and cycles bound the others. As docs/engine.md prices every
    instruction, it takes FETCH cycles and beyond them at least one for what its ports of weights fetch in one, so that

        FETCH · instructions + weight_bytes / (WEIGHT_PORTS · PORT_BYTES) ≤ cycles:

    a cycle either issues or fetches, and the worst of the two is reckoned for each. (tests/host/budgets/test_budget.py
    holds the prices of random programs against this.)
    """
    found = coefficients or of(board)
    flop = (found.mac + found.register + found.block_ram * MAC_BLOCK_RAM) / 2
    fetching = (found.block_ram + found.ddr) * isa.WEIGHT_PORTS * isa.PORT_BYTES
    issuing = found.ddr * INSTRUCTION_BYTES / isa.FETCH
    return flop, max(fetching, issuing) + found.static / board.clock_hz


def worst_case(flops, cycles, board):
    """The most J that any image within these limits can take, by the model: see `rates`."""
    flop, cycle = rates(board)
    return flops * flop + cycles * cycle
