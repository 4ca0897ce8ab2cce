"""Fit the energy model's coefficients to measured runs, so that modelled energy is this board's.

    python host/run.py --budget 34M --meter … --json a.json         # several budgets, several packages
    python -m host.energy.fit a.json b.json c.json d.json -o energy.json

    python host/run.py --energy energy.json --budget 0.8mJ          # modelled energy and budgets by these

    coefficients = read_coefficients("energy.json")                 # for host.energy.model.modelled

Exit codes: 0 done; 2 bad input, with one line and no file written.
"""

import json
import math
import sys
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.outputs import Outputs, write
from hls.errors import UserError
from host.board.catalog import DEFAULT, Coefficients
from host.board.catalog import read as read_board
from host.energy.gauge import COUNTERS
from host.energy.model import modelled, of

PARTS = {"compute": ("mac", "register"), "memory": ("block_ram", "ddr"), "static": ("static",)}


def fit(runs, board, source="fitted to measured runs"):
    """Coefficients that explain measured runs: a list of (Results, J an image measured, its standard error).

    Counters within a part of PARTS move together, so that runs cannot tell them apart: one factor each for compute and
    memory on the board's published coefficients, and one power for the time, by weighted least squares, none below 0.
    Idle was subtracted, so that `static` becomes what running takes above idle. UserError with fewer than three runs,
    or with runs too alike to part the three (use several budgets and packages).
    """
    start = of(board)
    design, joules, weights = [], [], []
    for results, joule, error in runs:
        levels = modelled(results, board, start).levels
        design.append([float(sum(levels[name] for name in names).mean()) for names in PARTS.values()])
        joules.append(float(joule))
        weights.append(1 / max(float(error), 1e-3 * abs(float(joule)), 1e-15))
    if len(runs) < len(PARTS):
        raise UserError(f"{len(runs)} measured runs, expected {len(PARTS)} or more: measure at more budgets")
    matrix = np.array(design) * np.array(weights)[:, None]
    scale = np.linalg.norm(matrix, axis=0)
    if (scale == 0).any() or np.linalg.cond(matrix / scale) > 1e4:
        raise UserError("the measured runs are too alike to fit energy to: use budgets and packages that differ more")
    factors = _not_negative(matrix / scale, np.array(joules) * weights) / scale
    new = {name: getattr(start, name) * factor for names, factor in zip(PARTS.values(), factors) for name in names}
    kind = f"modelled, coefficients fitted to {len(runs)} measured runs"
    return Coefficients(**new, kind=kind, source=f"{kind}: {source}", fitted=True)


def _not_negative(matrix, values):
    """Least squares with no factor below 0, by trying every choice of factors that are not 0: there are few."""
    count, best, least = matrix.shape[1], np.zeros(matrix.shape[1]), math.inf
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            found = np.zeros(count)
            found[list(chosen)] = np.linalg.lstsq(matrix[:, chosen], values, rcond=None)[0]
            error = float(((matrix @ found - values) ** 2).sum())
            if (found >= 0).all() and error < least:
                best, least = found, error
    return best


def write_coefficients(target, coefficients):
    """Keep fitted coefficients as JSON at a path or in an Output (hls/command/outputs.py). OutputError."""
    write(target, json.dumps(asdict(coefficients), indent=2) + "\n")


def read_coefficients(path):
    """Coefficients from a file of write_coefficients. UserError when it is missing or damaged."""
    try:
        return Coefficients.checked(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        found = " ".join(str(error).split())
        raise UserError(f"{path} has no energy coefficients ({found}): fit them anew, see docs/power.md") from None


# -------------------------------------------------------------------------------------------------------------- command


def main(argv=None):
    """Exit code 0, or 2 with one line on standard error."""
    parser = Parser(
        prog="python -m host.energy.fit",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="results of host/run.py --meter … --json")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="where the coefficients go")
    parser.add_argument("--board", default=DEFAULT, help="whose coefficients to start from (default: %(default)s)")
    arguments = parser.parse_args(argv)
    return guarded("energy_fit", lambda: _fit(arguments))


def _fit(arguments):
    with Outputs({"--output": arguments.output}, arguments.runs) as files:
        board = read_board(arguments.board)
        runs = [read_run(path) for path in arguments.runs]
        found = fit(runs, board, ", ".join(Path(path).name for path in arguments.runs))
        write_coefficients(files["--output"], found)
    for results, joule, error in runs:
        predicted = modelled(results, board, found).joule_per_image
        print(f"measured {1e3 * joule:.4g} ± {1e3 * error:.2g} mJ an image, fitted {1e3 * predicted:.4g} mJ")
    return 0


def read_run(path):
    """(counters, J an image, its standard error) of a measured run's JSON; means do, since the model is linear.

    The counters are those of the images that were measured, which need not be all of the run.
    """
    again = "run host/run.py with --meter and --json again"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        energy = found["energy"] or {}
        kind = energy.get("kind", "none")
        if kind == "measured":
            counters = {name: np.array([float(energy["counters"][name])]) for name in COUNTERS}
            return SimpleNamespace(**counters), 1e-3 * energy["mean_mj"], 1e-3 * energy["standard_error_mj"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(f"{path} is no result of a measured run ({found}): {again}") from None
    raise UserError(f"{path} has an energy of the kind {kind}, expected measured: {again}")


if __name__ == "__main__":
    sys.exit(main())
