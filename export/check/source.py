"""The float network that a package was made of: found, read as export reads it, and held against the package.

path = found_beside("mine.npz", package)
share = check_made(package, compiled, path)      # of weights that are others, next to none; UserError for another
"""

from pathlib import Path

import numpy as np

from hls.errors import UserError

OTHERS = 0.01  # of the weights may be rounded otherwise, as on another machine
CHECKPOINTS = Path(__file__).resolve().parents[2] / "packages" / "checkpoints"


def found_beside(path, package):
    """The checkpoint or ONNX file of a package, by its name, beside it or here. UserError."""
    path, training = Path(path), package.meta["training"]
    told = training.get("imported") or training.get("published")
    names = [told] if told else [f"{path.stem}.pt", "model.pt"]
    for name in names:
        for folder in (path.parent, Path(), CHECKPOINTS):
            if (folder / name).is_file():
                return folder / name
    raise UserError(f"no {' or '.join(names)} beside {path} or here: give --source, the file that it was made of")


def check_made(package, compiled, source):
    """The share of weights that are others in the package than in what its source gives now. UserError for another."""
    remedy = "give the source, --data and the options of its export"
    if compiled.program.shape != package.program.shape or (compiled.program[:, 0] != package.program[:, 0]).any():
        raise UserError(f"{package.name} has another program than {source} gives: {remedy}")
    if compiled.weights.shape != package.weights.shape:
        raise UserError(f"{package.name} has {package.weights.size} bytes of weights, {source} gives others: {remedy}")
    share = float(np.mean(compiled.weights != package.weights))
    if share > OTHERS:
        raise UserError(f"{share:.1%} of the weights of {package.name} are not those that {source} gives: {remedy}")
    return share
