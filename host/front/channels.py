"""Which channels ran for a picture: a record tells how many, the golden model which.

masks = active_channels(package, pixels, start, trace)      # [array of channels or None] of each gate
"""

import numpy as np

from hls import golden, isa
from hls.errors import UserError


class _Watching(golden.Engine):
    """The golden model, which keeps what each channel gate left on."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.left_on = {}  # by the gate's number

    def _gate_channel(self, f):
        super()._gate_channel(f)
        if f["gate"] >= 0:
            self.left_on[f["gate"]] = self.masks[f["mask"]]


def active_channels(package, pixels, start, trace):
    """Of each gate in the order of the trace: the channels that ran, an array, or None where its block did not run.

    `pixels` (H, W, C) uint8, run under `start`; `trace` (gates,): of the backend's record. UserError where the golden
    model decides otherwise than the backend did, which is a fault of one of them.
    """
    engine = _Watching(package.program, package.weights, package.tables, start, package.limits)
    record = engine.run_image(0, pixels.reshape(-1), (start.budget_flops, start.budget_cycles))
    found = record[isa.RECORD_HEADER :][: start.gates]
    if (found != trace).any():
        first = int(np.flatnonzero(found != trace)[0])
        raise UserError(
            f"gate {first} has {trace[first]} in the record, {found[first]} by the golden model: report this"
        )
    return [
        None if ran < 0 else engine.left_on.get(gate, np.arange(package.meta["gates"][gate]["channels"]))
        for gate, ran in enumerate(trace)
    ]
