"""Train a recipe to a checkpoint, phase by phase.

    python -m training new --data photos/ -o mine.toml          # a recipe for pictures of one's own (training/new.py)
    python -m training class-exits runs/x/model.pt --class dog -o classes.pt    # training/class_exits/command.py
    python -m training dynamic model.onnx --data photos/ -o mine.toml      # gates and exits for somebody's network
    python -m training estimate RECIPE.toml       # what it costs, and takes on an accelerator (training/estimate.py)
    python -m training sweep GRID.toml --data DIR       # many recipes, on many machines (training/sweep/)
    python -m training training/recipes/resnet74-ddi-fashion-mnist.toml --data DIR --out runs/mine
    python -m training training/recipes/resnet74-ddi-fashion-mnist.toml --data DIR --out runs/mine --resume --minutes 10

The folder then holds checkpoint.pt (to resume from), metrics.jsonl, and at the end model.pt (to export) and
metrics.json.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve everything else on small machines

import torch

from data.arguments import HELP, folder_of
from hls.command.arguments import THREADS, Parser, Real
from hls.command.entry import guarded
from hls.command.outputs import made, usable
from hls.command.signals import handled
from training import checkpoint, estimate, loop, new, recipe
from training.class_exits import command as class_exits
from training.data import Split
from training.evaluate import summary
from training.large import processes

MINUTES = Real(0, 1e6, without_least=True)


def main(argv=None):
    """Exit code 0 when the recipe's end or the time given was reached, 2 for bad input or an interrupt."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["new"]:
        return new.main(argv[1:])
    if argv[:1] == ["class-exits"]:
        return class_exits.main(argv[1:])
    if argv[:1] == ["estimate"]:
        return estimate.main(argv[1:])
    if argv[:1] == ["sweep"]:
        from training.sweep import command  # needs Dask, which nothing else does

        return command.main(argv[1:])
    if argv[:1] == ["dynamic"]:
        from export import dynamic  # reads ONNX, which training does without

        return dynamic.main(argv[1:])
    raw = argparse.RawTextHelpFormatter
    parser = Parser(prog="python -m training", description=__doc__, formatter_class=raw)
    parser.add_argument("recipe", type=Path, help="a recipe (training/recipes/*.toml)")
    parser.add_argument("--data", help=f"{HELP} (default: download)")
    parser.add_argument("--out", type=Path, help="folder for checkpoint, metrics and model (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="continue from the folder's checkpoint")
    parser.add_argument("--minutes", type=MINUTES, help="stop after so many minutes, to be resumed")
    parser.add_argument(
        "--device", type=_device, default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s"
    )
    parser.add_argument("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    arguments = parser.parse_args(argv)
    arguments.device = processes.device_of(arguments.device)
    work = partial(processes.together, arguments.device, lambda: train(arguments))
    return guarded("training", work, lambda: _kept(arguments))


def _device(text):
    """The type of --device: a place where torch computes here."""
    try:
        torch.zeros(1, device=text).tolist()
    except Exception:  # of many kinds, by what torch was built without
        raise argparse.ArgumentTypeError(f"{text!r} is not on this machine: expected cpu, or cuda with a GPU") from None
    return text


def _kept(arguments):
    """What is said of an interrupt."""
    if arguments.out is None or not (arguments.out / "checkpoint.pt").exists():
        return "interrupted: nothing was written"
    return "interrupted: go on with the same command and --resume"


def train(arguments):
    """Follow the parsed command line; the exit code."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    plan = recipe.read(arguments.recipe)
    folder = arguments.out = arguments.out or Path("runs") / plan.name
    state = checkpoint.read_checkpoint(folder / "checkpoint.pt", plan) if arguments.resume else None
    if not arguments.resume and (folder / "checkpoint.pt").exists():
        raise checkpoint.CheckpointError(f"{folder} already holds a run: give --resume to go on, or another --out")
    if processes.leads():
        usable(folder, "--out")
    data = folder_of(arguments.data, plan.dataset)
    splits = Split.load(plan.dataset, data, arguments.device, plan.validation, plan.images)
    if processes.leads():
        made(folder, "--out")
    trainer = loop.Trainer(plan, splits, folder, arguments.device)
    if state:
        trainer.resume(state)
    with handled(lambda *_: setattr(trainer, "stopping", True)):  # a step is never torn
        finished = trainer.run(arguments.minutes)
    metrics = trainer.finish() if finished else {}
    if not processes.leads():
        return 0
    if not finished:
        print(f"stopped in {plan.phases[trainer.phase].name} at step {trainer.step}: go on with --resume")
        return 0
    print(f"test: {summary(metrics['test'])}\nwrote {folder / 'model.pt'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
