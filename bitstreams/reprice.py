"""A package for an engine of other sizes: the same instructions and weights, priced by that engine's schedule.

    python -m bitstreams.reprice PARTS.npz PACKAGE.npz      # from bitstreams/points.py, with that engine's hls

What a package is computes the same on every engine that holds it; how long it takes differs, and so what exits reserve.
Class exits are programs of their own, priced alike; one that the engine does not hold is left out, which is told.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from hls import cost, isa
from hls.command.entry import say
from hls.errors import UserError
from hls.package import Package, PackageError, encoded, write
from hls.program import decode

ARRAYS = "program", "weights", "tables", "variants"
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
    programs = [package, *map(package.with_class_exit, package.class_exits)]
    told = {"meta": package.meta, "starts": [starts(one.program, one.exits) for one in programs]}
    arrays = {name: getattr(package, name) for name in ARRAYS}
    np.savez(path, **arrays, told=np.frombuffer(json.dumps(told).encode(), np.uint8))


def repriced(program, weights, tables, variants, begins, meta):
    """The Package for this engine; `begins` has for its program, and for each class exit's, where classifiers begin.

    PackageError where the engine does not hold it; class exits that it does not hold are left out.
    """
    program, exits = priced(program, meta["exits"], begins[0])
    kept = {key: value for key, value in meta.items() if key != "class_exits"} | {"isa": isa.HASH, "exits": exits}
    whole, items, made = Package(program, weights, tables, kept), [], []
    encoded(whole)  # valid
    for item, own in zip(meta.get("class_exits", []), begins[1:], strict=True):
        program, exits = priced(variants[item["first"] :][: item["count"]], item["exits"], own)
        item = item | {"exits": exits, "first": sum(map(len, made))}
        if _holds(whole, item, program):
            items.append(item)
            made.append(program)
    return replace(whole, meta=kept | {"class_exits": items}, variants=np.concatenate(made)) if made else whole


def _holds(whole, item, program):
    """Whether this engine holds a class exit's program; where not, that is said."""
    try:
        encoded(replace(whole, meta=whole.meta | {"class_exits": [item | {"first": 0}]}, variants=program))
    except PackageError as error:
        say("bitstreams.reprice", f"{whole.name} has no class exit {item['name']} on this engine: {error}")
        return False
    return True


def priced(program, exits, begins):
    """(program, exits) with this engine's prices; the exits' classifiers begin at `begins`."""
    program, exits = program.copy(), [dict(entry) for entry in exits]
    for entry, begin in zip(exits, begins, strict=True):
        own = cost.classifier_cost(program, begin)
        entry |= {"classifier_flops": own.flops, "classifier_cycles": own.cycles}
    for pc in np.flatnonzero(program[:, 0] == isa.TAP):
        own = exits[program[pc, 1 + TAP.index("exit")]]
        program[pc, 1 + TAP.index("flops")] = own["classifier_flops"]
        program[pc, 1 + TAP.index("cycles")] = own["classifier_cycles"]
    for worst in cost.worst_case(program):
        exits[worst.exit] |= {"flops": worst.flops, "cycles": worst.cycles}
    return program, exits


def main(argv=None):
    """Exit code 0; 1 with one line where the engine does not hold the network."""
    source, target = (Path(each) for each in (sys.argv[1:] if argv is None else argv))
    with np.load(source) as found:
        arrays = [found[name] for name in ARRAYS]
        told = json.loads(found["told"].tobytes().decode())
    write(target, repriced(*arrays, told["starts"], told["meta"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
