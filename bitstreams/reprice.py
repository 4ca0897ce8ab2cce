"""A package for an engine of other sizes: the same instructions and weights, priced by that engine's schedule.

    python -m bitstreams.reprice PARTS.npz PACKAGE.npz      # from bitstreams/points.py, with that engine's hls

What a package is computes the same on every engine that holds it; how long it takes differs, and so what exits reserve.
Class exits are programs of their own and are left out: export the checkpoint again with that engine.
"""

import json
import sys
from pathlib import Path

import numpy as np

from hls import cost, isa
from hls.errors import UserError
from hls.package import Package, write
from hls.program import decode

TAP = isa.FIELDS[isa.TAP]


def starts(program, exits):
    """Where each exit's classifier begins: so far before its EXIT that it costs what `exits`, of a package, say.

    Only the engine that the package is for prices it so. UserError where nothing does.
    """
    found = []
    for number, said in enumerate(exits):
        ends = [pc for pc, words in enumerate(program) if words[0] == isa.EXIT and decode(words)["exit"] == number]
        own = said["classifier_flops"], said["classifier_cycles"]
        begins = [
            pc for end in ends for pc in range(end, -1, -1) if cost.classifier_cost(program[: end + 1], pc)[:2] == own
        ]
        if not begins:
            raise UserError(f"no classifier of exit {number} takes {own[0]} FLOPs and {own[1]} cycles: export it again")
        found.append(begins[0])
    return found


def save_parts(path, package):
    """What `repriced` needs of a package of this engine, as an .npz."""
    meta = np.frombuffer(json.dumps(package.meta).encode(), np.uint8)
    begins = starts(package.program, package.exits)
    arrays = {"program": package.program, "weights": package.weights, "tables": package.tables}
    np.savez(path, **arrays, starts=begins, meta=meta)


def repriced(program, weights, tables, begins, meta):
    """The Package for this engine, whose exits' classifiers begin at `begins`. PackageError where it does not fit."""
    program, exits = program.copy(), [dict(entry) for entry in meta["exits"]]
    for entry, begin in zip(exits, begins, strict=True):
        own = cost.classifier_cost(program, int(begin))
        entry |= {"classifier_flops": own.flops, "classifier_cycles": own.cycles}
    for pc in np.flatnonzero(program[:, 0] == isa.TAP):
        own = exits[program[pc, 1 + TAP.index("exit")]]
        program[pc, 1 + TAP.index("flops")] = own["classifier_flops"]
        program[pc, 1 + TAP.index("cycles")] = own["classifier_cycles"]
    for worst in cost.worst_case(program):
        exits[worst.exit] |= {"flops": worst.flops, "cycles": worst.cycles}
    kept = {key: value for key, value in meta.items() if key != "class_exits"}
    return Package(program, weights, tables, kept | {"isa": isa.HASH, "exits": exits})


def main(argv=None):
    """Exit code 0; 1 with one line where the engine does not hold the network."""
    source, target = (Path(each) for each in (sys.argv[1:] if argv is None else argv))
    with np.load(source) as found:
        parts = [found[name] for name in ("program", "weights", "tables", "starts")]
        meta = json.loads(found["meta"].tobytes().decode())
    write(target, repriced(*parts, meta))
    return 0


if __name__ == "__main__":
    sys.exit(main())
