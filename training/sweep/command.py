"""Train all points of a grid, or search among them, on this machine or on many; one row a point.

    python -m training sweep GRID.toml --data DIR --out runs/table1              # GRID.toml: training/sweep/grid.py
    python -m training sweep GRID.toml --data DIR --out runs/table1 --workers 4
    python -m training sweep GRID.toml --data DIR --out runs/table1 --cluster tcp://HOST:8786
    python -m training sweep GRID.toml --estimate           # points, and hours on an accelerator; trains nothing

The folder then holds rows.jsonl and a folder a point. The same command goes on after whatever stopped it: finished
points are not trained again, begun ones go on from their checkpoint. Workers of a cluster (dask scheduler, dask worker)
have the project, and see --data and --out under the same paths.
"""

import argparse
import contextlib
import logging
from pathlib import Path

import dask
import torch
from distributed import Client, KilledWorker, LocalCluster, as_completed
from tqdm import tqdm

from hls.command.arguments import THREADS, Parser, Whole
from hls.command.entry import guarded
from hls.command.outputs import made
from training import estimate
from training.recipe import from_dict
from training.sweep import grid
from training.sweep.point import train_point
from training.sweep.rows import Rows

PATIENCE = 30  # seconds until a cluster must have answered


def main(argv=None):
    """The exit code: 0 when all points are there, 2 for bad input or an interrupt."""
    parser = Parser(prog="python -m training sweep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("grid", type=Path, help="which recipes and axes (TOML)")
    add("--data", help="DIR or SET=DIR, as for python -m training")
    add("--out", type=Path, help="folder of rows and points (default: runs/NAME)")
    add("--workers", type=Whole(1, 1024), default=1, help="points at once on this machine (default: %(default)s)")
    add("--cluster", metavar="ADDRESS", help="of a Dask scheduler, whose workers train in place of this machine's")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    add("--threads", type=THREADS, default=1, help="CPU threads of a point, part of its bits (default: %(default)s)")
    add("--estimate", action="store_true", help="tell points and hours, by FLOPs as training estimate does")
    add(
        "--rate",
        type=estimate.TERAFLOPS,
        default=estimate.RATE,
        help="TFLOP/s that --estimate assumes (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.estimate:
        return guarded("training sweep", lambda: _estimate(grid.read(arguments.grid), arguments.rate))
    arguments.out = arguments.out or Path("runs") / arguments.grid.stem
    return guarded("training sweep", lambda: _sweep(arguments), lambda: f"interrupted: {_kept(arguments.out)}")


def _kept(folder):
    path = folder / "rows.jsonl"
    count = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
    return f"{count} finished in {path}; the same command goes on"


def _estimate(wanted, rate):
    """Tell points and hours of every recipe of a grid."""
    trials = wanted.search["trials"] if wanted.search else 1
    seconds, found = {}, {}
    for point in wanted.points(**grid.values_of(wanted)):
        plan = from_dict(point.values)
        key = str((plan.network, plan.batch, [(one.steps, one.side, one.gated, one.exits) for one in plan.phases]))
        if key not in seconds:
            seconds[key] = estimate.modelled(plan, estimate.built(plan), rate)
        found.setdefault(point.recipe, []).append(seconds[key])
    for name, each in found.items():
        print(f"{name:32} {trials * len(each):6} points {trials * sum(each) / 3600:9.2f} hours")
    count, total = (trials * sum(map(measure, found.values())) for measure in (len, sum))
    print(f"{'together':32} {count:6} points {total / 3600:9.2f} hours, modelled at {rate:g} TFLOP/s")
    return 0


def _sweep(arguments):
    wanted = grid.read(arguments.grid)
    rows = Rows(made(arguments.out, "--out") / "rows.jsonl")
    with _client(arguments) as client:
        sweep = Sweep(client, rows, arguments)
        if wanted.search:
            from training.sweep.search import search  # Optuna, where it is asked for

            print(f"best: {search(wanted, sweep.run)}")
        else:
            sweep.run(wanted.points())
    print(f"trained {sweep.trained} points, {sweep.there} were there: {rows.path}")
    return 0


class Sweep:
    """Points trained by a Client's workers, their rows kept."""

    def __init__(self, client, rows, arguments):
        self.client, self.rows, self.arguments = client, rows, arguments
        self.trained = self.there = 0

    def run(self, points):
        """Train those of `points` that have no row; the rows of all, in order. GridError."""
        self.rows.expect(points)
        missing = {point.key: point for point in points if point not in self.rows}
        self.there += len({point.key for point in points}) - len(missing)
        futures = {self._submit(point): point for point in missing.values()}
        with tqdm(total=len(points), initial=len(points) - len(missing), unit="point", mininterval=1) as bar:
            for future in as_completed(futures):
                self._take(future, futures[future])
                bar.update()
        return [self.rows.of(point) for point in points]

    def _submit(self, point):
        asked, folder = self.arguments, (self.arguments.out / point.key).absolute()
        task = point.values, str(folder), asked.data, asked.device, asked.threads
        return self.client.submit(train_point, *task, key=f"point-{point.key}", pure=False)

    def _take(self, future, point):
        try:
            figures = future.result()
        except KilledWorker:
            raise grid.GridError(
                f"workers died in {point.recipe} at {point.axes}, as for want of memory: give fewer --workers, then "
                "the same command goes on"
            ) from None
        self.rows.add(point, figures)
        self.trained += 1


@contextlib.contextmanager
def _client(arguments):
    """A Client of the cluster asked for, or of workers of this machine. GridError."""
    settings = {"distributed.worker.daemon": False, "distributed.logging": {"distributed": "error"}}
    with dask.config.set(settings), contextlib.ExitStack() as opened:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        if arguments.cluster is None:
            options = {"n_workers": arguments.workers, "threads_per_worker": 1, "processes": True, "memory_limit": 0}
            options |= {"dashboard_address": None, "silence_logs": logging.CRITICAL}
            yield opened.enter_context(Client(opened.enter_context(LocalCluster(**options))))
            return
        try:
            client = opened.enter_context(Client(arguments.cluster, timeout=PATIENCE))
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise grid.GridError(
                f"no Dask scheduler with workers at {arguments.cluster} ({line}): start dask scheduler and dask worker"
            ) from None
        yield client
