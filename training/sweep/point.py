"""One point of a sweep, trained: what a worker does, wherever it is. It goes on where an earlier try was stopped.

row = train_point(values, folder, data, "cpu", threads=1)      # {"validation": …, "test": …} or {"failed": …}
"""

import json
from pathlib import Path

import torch

from data.arguments import folder_of
from hls.command.outputs import made
from training import checkpoint, loop, phases, recipe
from training.data import Split

FIGURES = ("validation", "test")


def train_point(values, folder, data, device="cpu", threads=1):
    """The figures of a recipe's plain values, trained in `folder`; a phase that fails is a result too.

    Figures depend on the recipe, the data, the device's kind and `threads` alone, not on who else works.
    """
    torch.set_num_threads(threads)
    folder, plan = made(folder, "--out"), recipe.from_dict(values)
    finished = Path(folder) / "metrics.json"
    if not finished.exists():
        try:
            _train(plan, folder, data, _device(device))
        except phases.PhaseError as error:
            return {"failed": str(error)}
    metrics = json.loads(finished.read_text(encoding="utf-8"))
    return {name: metrics[name] for name in FIGURES}


def _train(plan, folder, data, device):
    kept = Path(folder) / "checkpoint.pt"
    state = checkpoint.read_checkpoint(kept, plan) if kept.exists() else None
    splits = Split.load(plan.dataset, folder_of(data, plan.dataset), device, plan.validation, plan.images)
    trainer = loop.Trainer(plan, splits, folder, device, quiet=True)
    if state:
        trainer.resume(state)
    trainer.run()
    trainer.finish()


def _device(asked):
    """Of several GPUs, one for each worker of a machine, by the worker's number."""
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:  # no worker: called directly
        return asked
    several = asked == "cuda" and torch.cuda.device_count() > 1 and isinstance(name, int)
    return f"cuda:{name % torch.cuda.device_count()}" if several else asked
