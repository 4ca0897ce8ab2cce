"""host/run.py --image and --camera: each picture's class, and what finding it took.

python host/run.py --package mine.npz --image cat.jpg dog.png --budget 74M --picture paths.svg
python host/run.py --package mine.npz --camera 0
"""

import itertools
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from data.pictures import read_stream
from hls.command.outputs import Outputs
from hls.errors import UserError
from host.backends import open_backend
from host.budgets import budget as budgets
from host.budgets.budget import show
from host.front.camera import frames
from host.front.channels import active_channels
from host.front.engine import Engine
from host.job import package_files
from host.layers.table import layers
from host.layers.table import table as layer_table
from host.layers.timeline import trace
from host.views import paths, report

OTHERS = ("schedule", "limit", "rate", "watch", "meter", "trace", "pool", "data", "energy")
BEST = 3  # classes that are told of each picture


def check(arguments):
    """What goes with no picture of one's own. UserError."""
    for name in OTHERS:
        if getattr(arguments, name):
            raise UserError(f"--{name} is for labelled data: leave it away with --image and --camera")
    if arguments.image and arguments.camera is not None:
        raise UserError("--image and --camera both give pictures: give one of them")
    if arguments.images is not None and arguments.image:
        raise UserError("--images counts labelled data or a camera's pictures: leave it away with --image")


def run(arguments, warn):
    """Follow the parsed command line; the exit code."""
    check(arguments)
    with ExitStack() as things:
        files = things.enter_context(_outputs(arguments))
        backend = things.enter_context(open_backend(arguments, warn))
        engine = Engine(arguments.package, backend, arguments.board, arguments.threads, arguments.class_exit)
        if arguments.camera is not None:
            return _watch(engine, arguments)
        names = [_title(name) for name in arguments.image]
        pixels = [engine.fit(*_picture(name)) for name in arguments.image]
        ran = engine.run(np.stack(pixels), arguments.budget, arguments.entropy, arguments.average_budget)
        _write(engine, arguments, files, names, pixels, ran)
    return 0


def _outputs(arguments):
    """The files to be written, opened and tried. UserError."""
    json_file = None if arguments.json == "-" else arguments.json
    read = [*package_files(arguments.package), *(name for name in arguments.image or () if name != "-")]
    return Outputs({"--picture": arguments.picture, "--json": json_file, "--timeline": arguments.timeline}, read)


def _title(name):
    return "standard input" if name == "-" else name


def _picture(name):
    """(what Engine.fit takes, its name for messages)."""
    if name != "-":
        return Path(name), name
    if sys.stdin is None:
        raise UserError("--image -: standard input is closed: give it a picture, as in `… --image - < cat.jpg`")
    return read_stream(sys.stdin.buffer, _title(name)), _title(name)


def _watch(engine, arguments):
    """A line for each picture of the camera, until --images of them or Ctrl-C."""
    if arguments.picture or arguments.json or arguments.timeline or arguments.layers:
        raise UserError(
            "--picture, --json, --timeline and --layers are of pictures in files: leave them away with --camera"
        )
    for pixels in itertools.islice(frames(arguments.camera), arguments.images):
        (one,) = engine.predict(pixels, arguments.budget, arguments.entropy, arguments.average_budget)
        print(f"{_best(engine, one)}  {_cost(engine, one)}", flush=True)
    return 0


# -------------------------------------------------------------------------------------------------------------- output
def _write(engine, arguments, files, names, pixels, ran):
    """The lines or JSON, the picture and the trace; files appear whole. `ran`: what Engine.run gives."""
    job, batches = ran
    found = engine.predictions(job, batches)
    start = job.start(budgets.parse(arguments.budget))
    rows = layers(job.package, start, batches.results, pixels) if arguments.layers else []
    text = report.json_text(summary(engine, names, found, arguments.budget) | ({"layers": rows} if rows else {}))
    contents = {"--json": text}
    if "--timeline" in files:
        where = job.package, start, batches.results, pixels
        contents["--timeline"] = trace(*where, job.board.clock_hz, batches.measured_cycles)
    if "--picture" in files:
        masks = [_masks(engine, one, mine, arguments) for one, mine in zip(found, pixels)]
        contents["--picture"] = paths.draw(engine, names, pixels, found, masks)
    told = table(engine, names, found, arguments.budget) + (f"\n{layer_table(rows, len(names))}\n" if rows else "")
    try:
        files.write(contents)
    finally:
        print(text if arguments.json == "-" else told, end="", flush=True)


def _masks(engine, one, pixels, arguments):
    job = engine.job(pixels[None], arguments.entropy, arguments.average_budget).on(engine.backend)
    return active_channels(job.package, pixels, job.start(budgets.parse(arguments.budget)), one.trace)


def summary(engine, names, found, budget):
    """All of it as plain values, as `--json` writes it."""
    return {
        "package": {"name": engine.package.name, "file": engine.path.name, "sha256": engine.sha256},
        "backend": engine.backend.name,
        "budget": budget,
        "fit": {"size": list(engine.rule.size), "channels": engine.rule.channels, "how": engine.rule.how},
        "images": [
            {
                "image": name,
                "class": one.name,
                "label": one.label,
                "probabilities": {key: round(float(share), 6) for key, share in zip(engine.classes, one.probabilities)},
                "exit": one.exit_name,
                "reason": one.reason,
                "blocks_run": one.blocks_run,
                "channels_run": one.channels_run,
                "flops": one.flops,
                "cycles": one.cycles,
                "time_ms": one.seconds * 1e3,
                "time_kind": one.seconds_kind,
                "energy_mj": None if one.joules is None else one.joules * 1e3,
                "energy_kind": "modelled",
                "trace": one.trace.tolist(),
            }
            for name, one in zip(names, found)
        ],
    }


def table(engine, names, found, budget):
    """Three lines a picture, for a terminal."""
    size = " × ".join(map(str, engine.rule.size))
    rule = "as they are" if engine.rule.how == "none" else f"{engine.rule.how} to {size}"
    lines = [f"{engine.package.name}, budget {budget}, pictures {rule}; {engine.backend.title}"]
    for name, one in zip(names, found):
        lines += ["", f"{name}: {_best(engine, one)}", f"    {_cost(engine, one)}", f"    {_time(one)}"]
    return "\n".join(lines) + "\n"


def _best(engine, one):
    return ", ".join(f"{name} {share:.1%}" for name, share in one.top(BEST, engine.classes))


def _cost(engine, one):
    """Where it stopped, what ran, FLOPs."""
    gates = engine.package.meta["gates"]
    parts = [f"{one.exit_name} ({one.reason})"]
    blocks, channels = sum(gate["channels"] > 0 for gate in gates), sum(gate["channels"] for gate in gates)
    if blocks:
        parts.append(f"{one.blocks_run} of {blocks} gated blocks, {one.channels_run} of {channels} channels")
    parts.append(f"{show(one.flops, 'flops')} of {show(engine.full_flops, 'flops')} FLOPs")
    return "; ".join(parts)


def _time(one):
    energy = "energy not modelled for this board" if one.joules is None else f"{one.joules * 1e3:.3g} mJ (modelled)"
    return f"{one.seconds * 1e3:.3g} ms ({one.seconds_kind}), {energy}"
