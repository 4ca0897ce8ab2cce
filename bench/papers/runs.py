"""Runs of recipes that go on where they were stopped, and what was measured of them.

folder = runs.folder(out, values)
model, recipe = runs.trained(values, splits, folder, start=weights)       # trains what is missing
figures = runs.kept(folder / "rows.json", lambda: measure(…))       # measures once
"""

import hashlib
import json
from pathlib import Path

from hls.command.outputs import made, write
from training.checkpoint import load_model, read_checkpoint
from training.loop import Trainer
from training.recipe import from_dict


def folder(out, values, *more):
    """The folder of a recipe's run under `out`; one of other values, or of `more`, is another."""
    text = json.dumps([values, *more], sort_keys=True)
    return Path(out) / f"{values['name']}-{digest(text.encode())}"


def digest(data, *more):
    """Twelve letters that bytes, and texts beside them, are told from others by."""
    return hashlib.sha256(b"\0".join([data, *(text.encode() for text in more)])).hexdigest()[:12]


def trained(values, splits, place, start=None):
    """(the trained Dynamic, its recipe), from a backbone's weights `start`, or from a checkpoint in the folder."""
    plan, place = from_dict(values), made(place, "--out")
    if not (place / "model.pt").exists():
        unfinished = place / "checkpoint.pt"
        state = read_checkpoint(unfinished, plan) if unfinished.exists() else None
        trainer = Trainer(plan, splits, place, "cpu")
        if state:
            trainer.resume(state)
        elif start:
            trainer.model.backbone.load_state_dict(start)
        trainer.run()
        trainer.finish()
    train = splits[0]
    return load_model(read_checkpoint(place / "model.pt"), train.classes, train.channels, train.size), plan


def shares(place):
    """The share of the whole network that ran in training, at every look at the last phase of a run."""
    records = [json.loads(line) for line in (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last = max(record["phase"] for record in records)
    return [record["share"] for record in records if record["phase"] == last and "share" in record]


def kept(path, measure):
    """What `measure()` gives, plain values, from a file where it was measured before."""
    if not path.exists():
        write(path, json.dumps(measure()) + "\n")
    return json.loads(path.read_text(encoding="utf-8"))
