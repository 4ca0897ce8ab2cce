"""What the engine was meant to reach, beside what the rows say, and what bounds it where it falls short.

python -m bench.documents     # writes the table into docs/engine.md
"""

import re
from typing import NamedTuple

from hls.generate.markdown import items

AT_LEAST, AT_MOST = "≥", "≤"


class Target(NamedTuple):
    """A row's name, the figure aimed at, and what stands in the way where it is missed; [ROW] is a row's figure."""

    row: str
    text: str
    sign: str
    aim: float
    bound: str = ""


MASKS = (
    "an odd channel leaves half of a pair of lanes idle, the drain takes 8 cycles a channel however few are "
    "multiplied. Gates, exits and IMAGE have cycles and hardly any FLOPs: if the cycles of all convolutions went "
    "exactly with their FLOPs, [proportionality.ceiling] would be reached. Random masks that keep channels in pairs "
    "reach [proportionality.random_pairs], others [proportionality.random_masks]; with two layers in flight those "
    "would reach [proportionality.overlapped]"
)
TARGETS = (
    Target("bounds.worst_ii_gap", "least II over the model's, worst loop", AT_MOST, 0),
    Target("bounds.worst_period_ns", "least period of a loop, ns", AT_MOST, 7),
    Target("points.zedboard-safe.lut_share", "LUTs of the safe point with what is around it", AT_MOST, 0.75),
    Target("points.zedboard-safe.dsp_share", "DSPs of the safe point", AT_MOST, 0.75),
    Target("points.zedboard-safe.bram18_share", "block RAM of the safe point", AT_MOST, 0.75),
    Target("points.zedboard.lut_share", "LUTs of the large (shipped) point", AT_MOST, 0.75,
           "windows, sums and their choices for 64 pixels × 2 channels × 3 taps; three ports of weights"),
    Target("points.zedboard.dsp_share", "DSPs of the large point", AT_MOST, 0.75, "192 multipliers of two products"),
    Target("points.zedboard.bram18_share", "block RAM of the large point", AT_MOST, 0.75, "384 KB of tile memory"),
    Target("array_busy.resnet74", "array busy, ResNet-74", AT_LEAST, 0.90),
    Target("array_busy.resnet20", "array busy, ResNet-20", AT_LEAST, 0.90),
    Target("array_busy.ddi_74M", "array busy, ResNet-74-DDI at 74M FLOPs", AT_LEAST, 0.80),
    Target("densenet201.array_busy", "array busy, DenseNet-201", AT_LEAST, 0.65,
           "AFFINE and MOVE run alone, and of a 1 × 1 kernel two of three taps are used. If both cost nothing it "
           "would be [densenet201.busy_without_affine_move]"),
    Target("proportionality.mean", "cycles ÷ FLOPs saved at 74M, mean", AT_LEAST, 0.95, MASKS),
    Target("proportionality.p5", "the same, 5th percentile", AT_LEAST, 0.92),
    Target("proportionality.mean.none", "the same without a budget, mean", AT_LEAST, 0.95),
    Target("proportionality.random_masks", "random channel masks", AT_LEAST, 0.95),
    Target("resnet8.images_per_s_143MHz", "ResNet-8 at 143 MHz, images/s", AT_LEAST, 2431),
    Target("ic02.images_per_s_143MHz", "IC02 at 143 MHz, images/s", AT_LEAST, 600),
    Target("stalls.ddi_74M", "time lost to a DDR of 20 to 80 cycles, at 74M", AT_MOST, 0.05),
    Target("lockstep.layers", "random layers in lockstep with the RTL", AT_LEAST, 100),
    Target("lockstep.differing_cycles", "cycles in which they differ", AT_MOST, 0),
    Target("cosim_over_ort_int8.resnet20.t1", "co-simulation ÷ ONNX Runtime int8, ResNet-20", AT_LEAST, 1.0),
    Target("cosim_ddi_74M_over_ort_int8_full", "DDI of ten units at 74M ÷ int8 on all 36", AT_LEAST, 2.0),
)  # fmt: skip

AIMS = {target.row: target.aim for target in TARGETS}  # row → figure aimed at


def shown(row):
    """A row's value in three digits, and the range of its repetitions where the row has it."""
    text = f"{row['value']:,.0f}" if row["value"] >= 100 else f"{row['value']:.3g}"
    detail = row.get("detail", {})
    return f"{text} ({detail['lowest']:.3g}–{detail['highest']:.3g})" if {"lowest", "highest"} <= set(detail) else text


def targets_table(rows):
    """Each target with its figure, whether it is met, and the command that measures it; below, what bounds the rest."""
    lines, bounds = ["| what | figure | target | met | command |", "|---|---|---|---|---|"], []
    for target in TARGETS:
        if target.row in rows:
            row = rows[target.row]
            met = row["value"] >= target.aim if target.sign == AT_LEAST else row["value"] <= target.aim
            command = row["command"].removeprefix("python -m ").partition(" --")[0]
            asked = f"{target.sign} {target.aim:,g} | {'yes' if met else 'no'} | `{command}`"
            lines.append(f"| {target.text} | {shown(row)} | {asked} |")
            if not met and target.bound:
                bounds.append(f"*{target.text}*: {_with_figures(target.bound, rows)}.")
    return [*lines, "", *items(bounds)]


def _with_figures(text, rows):
    return re.sub(r"\[([\w.]+)]", lambda name: f"{rows[name[1]]['value']:.3g}" if name[1] in rows else "?", text)
