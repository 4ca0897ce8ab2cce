"""What engines take whose sizes the sources do not support: their parts, scaled from those of an engine that they do.

    total = scaled(parts, {"lanes": 4, "taps": 1, "drain": 8})     # resource → amount
    scaled(parts, {})                                              # the estimate itself

hls/src is written for a few shapes of the array (its static_asserts say which sizes), so that a sweep takes only the
memories' sizes from there, as hls/estimate/resources.py estimates them. Each part of such an estimate grows with the
sizes that GROWTH names, in proportion; what stands in no line of it stays as it is.
"""

from fractions import Fraction
from math import ceil

from hls import isa
from hls.estimate.fabric import dsp

OWN = {"lanes": isa.OUT_LANES, "taps": isa.ROW_TAPS, "drain": isa.DRAIN}
UNIT = "chip/layer"  # the main loop, where all that grows stands
PIXEL_BITS, WEIGHT_BITS = 9, 8
# Start of a part's place → what it grows with; the first that fits counts. A pair is two lanes of one multiplier.
GROWTH = (
    ("packing.hpp", ("pairs", "taps")),
    ("chip/array.hpp, WindowPixel", ("taps",)),
    ("chip/array.hpp, FindPart", ("taps",)),
    ("chip/array.hpp, PartPixel", ("taps",)),
    ("chip/array.hpp, TakeLargest", ("taps",)),
    ("chip/array.hpp", ("lanes",)),
    ("state.layer.array", ("lanes",)),
    ("chip/lanes.hpp", ("lanes",)),
    ("state.layer.lanes", ("lanes",)),
    ("chip/drain.hpp", ("drain",)),
    ("requantize.hpp, RequantizeTwice", ("drain",)),
    ("requantize.hpp, RequantizeByte", ("drain",)),
    ("requantize.hpp, RoundingShift", ("drain",)),
)
RULE = (
    "Tile memory and bytes a lane are estimated from the sources of that size. Of channels, taps, pixels drained and "
    "ports of weights the sources are written for a few numbers alone, so all but the shipped ones are scaled: the "
    "multipliers grow with pairs of channels × taps, the choice of their pixels with taps, sums and weights' memories "
    "and what fills them with channels, requantisation with the drain, in proportion; the rest stays."
)


def parts_of(estimate):
    """The parts of an Estimate, as JSON can hold them: [amount, unit, resource, place], and what is left.

    Their sum by resource is the estimate's total.
    """
    parts = [[amount, unit, resource, place] for amount, unit, resource, place, _ in estimate.largest]
    for resource, amount in estimate.total.items():
        parts.append([amount - sum(part[0] for part in parts if part[2] == resource), "", resource, ""])
    return parts


def scaled(parts, sizes, packing=2):
    """Resource → amount with these `sizes` of OWN; with one product a DSP every product has a multiplier of its own."""
    found, ratio = {}, _ratios({**OWN, **sizes})
    for amount, unit, resource, place in parts:
        names = next((names for start, names in GROWTH if unit == UNIT and place.startswith(start)), ())
        for name in names:
            amount *= ratio[name]
        found[resource] = found.get(resource, 0) + amount
    if packing == 1:
        packed = sum(part[0] for part in parts if part[2] == "dsp" and part[3].startswith("packing.hpp"))
        found["dsp"] += products({**OWN, **sizes}) * dsp(PIXEL_BITS, WEIGHT_BITS)
        found["dsp"] -= packed * ratio["pairs"] * ratio["taps"]
    return {name: ceil(amount) for name, amount in found.items()}


def products(sizes):
    """Multiplications of a cycle."""
    return isa.TILE**2 * sizes["lanes"] * sizes["taps"]


def is_scaled(sizes):
    """Are these sizes others than those of the sources?"""
    return any(sizes[name] != own for name, own in OWN.items())


def _ratios(sizes):
    ratios = {name: Fraction(sizes[name], own) for name, own in OWN.items()}
    return ratios | {"pairs": Fraction(ceil(sizes["lanes"] / 2), ceil(OWN["lanes"] / 2))}
