"""Exits for single classes of a trained network, which stays as it is.

    python -m training class-exits runs/x/model.pt --class dog --class cat --data DIR -o runs/x/classes.pt
    python -m training class-exits runs/x/model.pt --class all --in-a-row 2 --precision 0.9 --data DIR -o …
    python -m export runs/x/classes.pt --data DIR -o x.npz; python host/run.py --package x.npz --class-exit dog

Branches learn on training images; confidence, place and connection are chosen on validation images so that the
network's accuracy is kept, for the largest gain in proportion to loss; test images say what came of it.
"""

import argparse
import sys
from pathlib import Path

import torch

from data.arguments import HELP, folder_of, path_of
from data.parts import check_same
from hls.command.arguments import THREADS, Parser, Real, Whole
from hls.command.entry import guarded
from hls.command.outputs import Outputs
from hls.errors import UserError
from training import recipe as recipes
from training.checkpoint import encoded, load_model, read_checkpoint
from training.class_exits import branches, choose, equations
from training.class_exits.places import COSTS, answer_cost, collect, exit_cost, spots_of
from training.data import Split

CONNECTIONS = {"on": (True,), "off": (False,), "both": (True, False)}


def main(argv):
    """Exit code 0, or 2 with one line and nothing written."""
    arguments = _parser().parse_args(argv)
    return guarded("class-exits", lambda: _run(arguments), "interrupted: nothing was written, run it again")


def _parser():
    raw = argparse.RawTextHelpFormatter
    parser = Parser(prog="python -m training class-exits", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("checkpoint", type=Path, help="model.pt of python -m training")
    add(
        "--class", dest="names", action="append", required=True, metavar="NAME", help="a class, or all; may be repeated"
    )
    add("-o", "--output", type=Path, required=True, help="the checkpoint to write: the same with class exits")
    add("--data", help=f"{HELP} (default: download)")
    add("--kp", choices=sorted(CONNECTIONS), default="both", help="keep previous connections (default: %(default)s)")
    add("--places", type=Whole(1), default=20, help="places to try, spread evenly (default: %(default)s)")
    add("--in-a-row", type=Whole(1), default=1, metavar="N", help="at most N exits a class (default: %(default)s)")
    add("--measure", choices=COSTS, default="cycles", help="what time is counted in (default: %(default)s)")
    add("--precision", type=Real(0, 1), default=0.0, metavar="P", help="least share of who stops that is of the class")
    add("--images", type=Whole(1), help="training images that branches learn on (default: all)")
    add("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    return parser


def _run(arguments):
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    state = read_checkpoint(arguments.checkpoint)
    plan = recipes.from_dict(state["recipe"])
    folder = folder_of(arguments.data, plan.dataset)
    with Outputs({"--output": arguments.output}, [arguments.checkpoint, path_of(arguments.data)]) as outputs:
        splits = Split.load(plan.dataset, folder, "cpu", plan.validation, plan.images)
        check_same(splits[0].about, state.get("data"))
        for split in splits if plan.mean else ():
            split.normalise_by(plan.mean, plan.std)
        targets = targets_of(arguments.names, splits[0].about.classes)
        model = load_model(state, splits[0].classes, splits[0].channels, splits[0].size)
        items = find(model, splits, targets, options_of(arguments))
        for target in targets:
            print(line(items.get(target), splits[0].about.classes[target]))
        if not items:
            raise UserError("no exit keeps the accuracy and wins time for any of the classes: nothing is written")
        kept = [item for item in state.get("class_exits", []) if item["class"] not in targets]
        state["class_exits"] = sorted([*kept, *items.values()], key=lambda item: item["class"])
        outputs.write({"--output": encoded(state)})
    return 0


def options_of(arguments):
    """The keyword arguments of the search."""
    names = ("places", "in_a_row", "measure", "precision", "images")
    return {name: getattr(arguments, name) for name in names} | {"connections": CONNECTIONS[arguments.kp]}


def targets_of(names, classes):
    """Numbers of the classes that are named. UserError for an unknown one."""
    if names == ["all"]:
        return list(range(len(classes)))
    for name in names:
        if name not in classes:
            shown = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
            raise UserError(f"--class {name} is no class of the data: expected all, or one of {shown}")
    return sorted({list(classes).index(name) for name in names})


def find(model, splits, targets, options):
    """{class: its entry in the checkpoint} where there is a viable exit; `splits`: train, validation, test."""
    measure, classes = options["measure"], splits[0].about.classes
    spots = spots_of(model, options["places"], splits[0].size)
    limits = options.get("images"), None, None
    seen = [collect(model, split, spots, split is splits[1], limit) for split, limit in zip(splits, limits)]
    lines, candidates = _learnt(*seen[:2], targets, options)
    whole, found = seen[1].whole[measure] - answer_cost(len(classes), measure), {}
    for number, target in enumerate(targets):
        held, test = (
            choose.Setting(target, one.labels, one.answers, *own_accuracy(one, target), whole, options["precision"])
            for one in seen[1:]
        )
        row = choose.choose(candidates[target], held, options["in_a_row"])
        if row is None:
            continue
        given = [(one, *lines[one.at, one.keep_previous]) for one, _, _ in row.exits]
        scores = [
            seen[2].columns(one.at, one.keep_previous) @ weight[number] + bias[number] for one, weight, bias in given
        ]
        found[target] = {
            "class": target,
            "name": classes[target],
            "measure": measure,
            "validation": choose.summary(row, held),
            "test": choose.summary(choose.replayed(row, scores, test), test),
            "exits": [
                _exit(seen[1], one, level, weight[number], bias[number])
                for (one, weight, bias), (_, level, _) in zip(given, row.exits)
            ],
        }
    return found


def own_accuracy(features, target):
    """(β, η) of the network on its images."""
    return equations.baseline(features.labels, features.answers, target)


def _learnt(train, held, targets, options):
    """({(spot, keep previous): lines of all targets}, {target: its Candidates})."""
    measure, lines, candidates = options["measure"], {}, {target: [] for target in targets}
    for keep_previous in options["connections"]:
        for at in range(len(held.spots)):
            columns = held.columns(at, keep_previous)
            given = train.columns(at, keep_previous), train.labels, columns, held.labels
            lines[at, keep_previous] = weight, bias = branches.learn(*given, targets)
            own = {None: exit_cost(held, at, keep_previous, measure)}
            for before in range(at):
                pooled = range(before + 1) if keep_previous else ()
                own[before] = exit_cost(held, at, keep_previous, measure, pooled)
            for target, scores in zip(targets, (columns @ weight.T + bias).T):
                until = float(held.until[measure][at])
                candidates[target].append(choose.Candidate(at, keep_previous, scores, until, own))
    return lines, candidates


def _exit(features, candidate, level, weight, bias):
    """An exit as a checkpoint has it."""
    reads = features.reads(candidate.at, candidate.keep_previous)
    return {
        "unit": features.spots[candidate.at].unit,
        "keep_previous": candidate.keep_previous,
        "alpha": level,
        "reads": [[features.spots[i].unit, first] for i, first in reads],
        "weight": weight.tolist(),
        "bias": float(bias),
    }


def line(item, name):
    """What was found for a class, for people."""
    if item is None:
        return f"{name}: no exit keeps the accuracy and wins time"
    texts = []
    for one in item["exits"]:
        where = f"unit {one['unit']}" if one["unit"] >= 0 else "the stem"
        texts.append(f"behind {where}, KP {'On' if one['keep_previous'] else 'Off'}, α {one['alpha']:g}")
    figures = []
    for part in ("validation", "test"):
        found = item[part]
        precision = "–" if found["precision"] is None else f"{found['precision']:.1%}"
        figures.append(
            f"{part}: gain {found['gain']:.2f}× (its own images {found['measured_gain']:.2f}×), "
            f"loss {found['loss']:.2f}×, "
            f"accuracy of it {found['accuracy_target']:.1%} (before {found['eta']:.1%}), of the others "
            f"{found['accuracy_others']:.1%} ({found['beta']:.1%}), of all {found['accuracy']:.1%} "
            f"({found['accuracy_before']:.1%}), precision {precision}"
        )
    return f"{name}: {'; '.join(texts)}\n  " + "\n  ".join(figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
