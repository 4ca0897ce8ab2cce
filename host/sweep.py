"""Run a package under many budgets: a table and a picture of accuracy, FLOPs, time and energy.

    python host/sweep.py --budgets 34M,74M,0.2G,none --out runs/sweep       # sweep.txt, sweep.svg and a JSON a budget
    python host/sweep.py --points 12 --out runs/sweep                       # from the smallest that works to no budget

Each budget's result is written as soon as it is there; the same command again goes on where it was interrupted.

Exit codes: 0 done; 2 bad input or interrupted, with one line that says what to do; 3 an image spent more than its
budget, which is a fault of the engine.
"""

import json
import shlex
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.command.arguments import Whole
from hls.command.entry import guarded, say
from hls.command.outputs import Outputs, made, write
from hls.errors import UserError
from host.arguments import add_common, check_common, new_parser
from host.backends import open_backend
from host.batches import run_batches
from host.budgets import budget
from host.budgets.plan import FixedPlan
from host.energy import gauge
from host.job import read_job
from host.meters.open import open_meter
from host.run import finished
from host.verdict import EXIT_CODES
from host.views import report, sweep_picture
from host.views.live import Progress

POINTS = Whole(2, 200)
NONE = budget.Budget("none")


def main(argv=None):
    """Run what is not there yet, then print and draw all of it; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(argv)
    command = shlex.join(["python", "host/sweep.py", *argv])
    folder = Path(arguments.out)
    return guarded("sweep", lambda: _sweep(arguments, command), lambda: f"interrupted: {_kept(folder)}", EXIT_CODES)


def _kept(folder):
    """What an interrupted sweep leaves, for people."""
    count = len(list(folder.glob("budget-*.json")))
    results = f"{count} result{'s' * (count != 1)}"
    return f"{results} kept in {folder}, the same command goes on from there" if count else "nothing was written"


def _parser():
    parser = new_parser("host/sweep.py", __doc__)
    add = parser.add_argument
    add("--budgets", metavar="B,…", help="budgets as host/run.py takes them, apart by commas")
    add(
        "--points",
        type=POINTS,
        default=8,
        metavar="N",
        help="without --budgets: so many of FLOPs (default: %(default)s)",
    )
    add(
        "--out",
        default="runs/sweep",
        metavar="DIR",
        help="folder of the results, made if needed (default: %(default)s)",
    )
    add_common(parser)
    return parser


def _sweep(arguments, command):
    check_common(arguments)
    folder = made(arguments.out, "--out")
    job = read_job(arguments)
    budgets = _asked(arguments)
    job.check_all(budgets)
    with ExitStack() as open_things:
        results = _Results(arguments, job, folder, command, open_things)
        if not budgets:
            free = results.get(NONE)
            budgets = [*_spaced(arguments.points - 1, job, free["flops"]["max"]), NONE]
        for one in budgets:  # an unusable file is told before anything is run
            results.read(one)
        points = [results.get(one) for one in budgets]
    text = table(points)
    try:
        with Outputs({"table": folder / "sweep.txt", "picture": folder / "sweep.svg"}) as files:
            files.write({"table": text + "\n", "picture": sweep_picture.draw(points)})
    finally:
        print(text, flush=True)
    return 0


def _asked(arguments):
    """The budgets of --budgets in their order, each once; none without it."""
    if arguments.budgets is None:
        return []
    found = list(dict.fromkeys(budget.parse(text) for text in arguments.budgets.split(",") if text))
    if not found:
        raise UserError(f"--budgets {arguments.budgets!r} names none: expected some apart by commas, like 34M,74M,none")
    return found


def _spaced(count, job, most):
    """Budgets of FLOPs, evenly spaced in ratio, from the smallest that works to just under `most`."""
    low = budget.smallest("flops", job.exits, job.board).amount
    amounts = [low * (max(most, low) / low) ** (step / count) for step in range(count)]
    return list(dict.fromkeys(budget.Budget("flops", max(int(float(f"{amount:.3g}")), low)) for amount in amounts))


# -------------------------------------------------------------------------------------------------------- one budget
class _Results:
    """Results of budgets: from the folder where they are there, else run and kept there."""

    def __init__(self, arguments, job, folder, command, open_things):
        self._arguments, self._job, self._folder, self._command = arguments, job, folder, command
        self._open_things, self._tools = open_things, None  # backend and meter, once they are needed
        self._key = {  # what must be the same for two results to belong to one sweep
            "package": job.sha256,
            "images": len(job.images),
            "data": job.source,
            "rule": job.rule,
            "threshold": job.threshold,
            "pool": job.pool,
            "average": job.average.text if job.average else None,
            "backend": arguments.backend,
            "board": arguments.board,
            "meter": arguments.meter,
            "energy": asdict(job.board.energy) if arguments.energy else None,
        }

    def get(self, one):
        """The summary of a run under this budget."""
        found = self.read(one)
        if found is None:
            found = self._run(one)
            write(self._file(one), report.json_text({"sweep": self._key, **found}))
            _say(f"{one}: accuracy {found['accuracy']:.2%}, mean {budget.show(found['flops']['mean'], 'flops')} FLOPs")
        return found

    def read(self, one):
        """The result in the folder, or None when it is not there yet. UserError when it belongs to another sweep."""
        path = self._file(one)
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            theirs = found.pop("sweep")
            table([found])  # all that is needed of it
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            line = " ".join(str(error).split())[:60]
            raise UserError(f"{path} is damaged ({line}): delete it, then it is run again") from None
        other = [name for name in self._key if theirs.get(name) != self._key[name]]
        if other:
            raise UserError(f"{path} is of a sweep with other {' and '.join(other)}: give another --out, or delete it")
        return found

    def _run(self, one):
        if self._tools is None:
            meter = None
            if self._arguments.meter:
                meter = self._open_things.enter_context(open_meter(self._arguments.meter))
            self._tools = self._open_things.enter_context(open_backend(self._arguments, _say)), meter
        backend, meter = self._tools
        job, plan = self._job.on(backend), FixedPlan(one)
        job.check(one)
        batches = run_batches(backend, job, plan, Progress())
        energy, _ = gauge.energy(meter, backend, job, plan, batches)
        return report.summarize(finished(job, backend, plan, batches, energy, self._command))

    def _file(self, one):
        return self._folder / f"budget-{one}.json"


# ------------------------------------------------------------------------------------------------------------ output
def table(points):
    """The sweep as text, a line a budget."""
    energy, time = _kind(points, "energy"), _kind(points, "time_measured_ms") or "modelled"
    head = f"{'budget':<12} {'accuracy':>8}  {'FLOPs, mean':>11}  {'max':>8}  {'cycles (modelled)':>17}  "
    lines = [head + f"{f'time ({time})':>15}" + (f"  energy ({energy})" if energy else "")]
    for point in points:
        milliseconds = point["time_measured_ms"] or point["time_ms"]
        flops = [budget.show(point["flops"][name], "flops") for name in ("mean", "max")]
        line = f"{point['budget']['text']:<12} {point['accuracy']:>8.2%}  {flops[0]:>11}  {flops[1]:>8}  "
        line += f"{point['cycles']['mean']:>17,.0f}  {milliseconds['mean']:>12.3g} ms"
        lines.append(line + (f"  {_energy(point['energy'])}" if energy else ""))
    first = points[0]
    what = f"{first['package']['name']}, sha256 {first['package']['sha256'][:12]}: {first['images']:,} images"
    return "\n".join([f"{what}, {first['data']['source']}; {first['engine']['title']}", "", *lines])


def _kind(points, name):
    """The kind of a figure in all of the points; None where one lacks it."""
    if any(point[name] is None for point in points):
        return None
    kinds = {point[name]["kind"].split(",")[0] for point in points}
    return " and ".join(sorted(kinds))


def _energy(energy):
    """Mean energy of an image; measured with half of its 95 % interval, and what the model says of it."""
    if "interval95_mj" not in energy:
        return f"{energy['mean_mj']:.3g} mJ"
    low, high = energy["interval95_mj"]
    beside = f" (modelled {energy['modelled']['mean_mj']:.3g} mJ)" if energy.get("modelled") else ""
    return f"{energy['mean_mj']:.3g} ± {(high - low) / 2:.2g} mJ{beside}"


def _say(message):
    say("sweep", message)


if __name__ == "__main__":
    sys.exit(main())
