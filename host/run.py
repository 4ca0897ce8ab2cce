"""Run a package's network on images under a hard budget, and report what it took.

    python host/run.py --budget 74M                          # the default package on the embedded images
    python host/run.py --package cifar10 --budget 1.5ms --json result.json --picture result.svg
    python host/run.py --schedule day.txt --watch            # budgets that change (host/budgets/schedule.py)
    python host/run.py --average-budget 74M                  # easy images stop early (host/budgets/average.py)
    python host/run.py --budget 74M --pool 100               # any 100 images in a row share 100 times the budget
    python host/run.py --limit 0.8mJ                         # keeps an average (host/budgets/limit.py)
    python host/run.py --backend remote:zed1,zed2            # boards over ssh (docs/board.md)
    python host/run.py --package mine.npz --image cat.jpg    # pictures of one's own (docs/own.md); - for stdin
    python host/run.py --package mine.npz --camera 0         # what a camera sees
    python host/run.py --images 20 --layers --timeline t.json   # where the time goes (host/layers/)

Files are tried before anything is run. Where a meter or a file fails after that, what was found is printed all the
same, and every other file is written.

Exit codes: 0 done; 2 bad input, a file or a meter that failed, or interrupted, with one line that says what to do; 3 an
image spent more than its budget, which is a fault of the engine.
"""

import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

import numpy as np

from data.arguments import path_of
from hls.command.entry import guarded, say
from hls.command.outputs import OutputError, Outputs
from hls.errors import UserError
from host.arguments import check_run, run_parser
from host.backends import open_backend
from host.batches import run_batches
from host.budgets import budget
from host.budgets.limit import LimitPlan, parse_limit
from host.budgets.plan import FixedPlan
from host.budgets.schedule import LinesPlan, SchedulePlan, read
from host.energy import gauge
from host.job import package_files, read_job
from host.layers.table import layers
from host.layers.table import table as layer_table
from host.layers.timeline import run_trace
from host.meters.open import open_meter
from host.meters.trace import Trace
from host.verdict import EXIT_CODES
from host.views import picture, report
from host.views.live import Progress, Watch
from host.views.table import table


@dataclass(frozen=True)
class Found:
    """What came of a run; `failure` says what went wrong once all images were run, "" where nothing did."""

    run: report.Run
    images: np.ndarray  # (N, height, width, channels) uint8
    trace: Trace | None  # of the meter
    failure: str


def main(argv=None):
    """Run, report, and give the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = run_parser(__doc__).parse_args(argv)
    command = shlex.join(["python", "host/run.py", *argv])
    return guarded("run", lambda: _run_and_write(arguments, command), codes=EXIT_CODES)


def _run_and_write(arguments, command):
    check_run(arguments)
    if arguments.image or arguments.camera is not None:
        from host.front import command as front  # a run on labelled data does without

        return front.run(arguments, warn)
    asked, steps = budget.parse(arguments.budget), _steps(arguments)
    with _outputs(arguments) as files:
        _write(arguments, files, execute(arguments, command, asked, steps))
    return 0


def _outputs(arguments):
    """The files to be written, opened and tried, and apart from what is read. UserError."""
    json_file = None if arguments.json == "-" else arguments.json
    meter = (arguments.meter or "").removeprefix("replay:").partition("?")[0]
    read = [*package_files(arguments.package), arguments.energy, arguments.schedule, meter, path_of(arguments.data)]
    files = {"--picture": arguments.picture, "--json": json_file, "--timeline": arguments.timeline}
    return Outputs({**files, "--trace": arguments.trace}, read)


# --------------------------------------------------------------------------------------------------------------- run
def execute(arguments, command, asked, steps):
    """Run what the arguments ask for, under the budget `asked` or the schedule's `steps`: Found. UserError."""
    job = read_job(arguments)
    asked_for = (asked, *(step.budget for step in steps))
    job.check_all(asked_for)
    found = None
    try:
        with ExitStack() as open_things:
            meter = open_things.enter_context(open_meter(arguments.meter)) if arguments.meter else None
            backend = open_things.enter_context(open_backend(arguments, warn))
            job = job.on(backend)
            job.check_all(asked_for)
            plan = _plan(arguments, job, asked, steps, meter)
            names = [item["name"] for item in job.package.exits]
            watch = Watch(names, meter, pool=arguments.pool) if arguments.watch else Progress()
            with gauge.sampling(meter if arguments.watch or arguments.limit else None):
                batches = run_batches(backend, job, plan, watch, arguments.rate)
            energy, trace, failure = _energy(meter, backend, job, plan, batches)
            found = Found(finished(job, backend, plan, batches, energy, command), job.images, trace, failure)
    except UserError as error:  # a meter or a board that cannot be given back
        if found is None:
            raise
        found = replace(found, failure=found.failure or str(error))
    return found


def _energy(meter, backend, job, plan, batches):
    """(what a report says of energy, the meter's trace or None, why it was not measured or "").

    A meter that fails, or an interrupt while it measures, takes nothing with it of what the images gave.
    """
    try:
        return (*gauge.energy(meter, backend, job, plan, batches), "")
    except UserError as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted while the energy was measured: it is modelled instead"
    return gauge.modelled(batches.results, job.board), meter and meter.kept(), failure


def finished(job, backend, plan, batches, energy, command):
    """The report.Run of batches that were run."""
    return report.Run(
        package=job.package,
        package_file=job.path.name,
        sha256=job.sha256,
        data=job.source,
        budget=batches.steps[-1][0],
        board=job.board,
        start=job.start(batches.steps[-1][0]),
        backend=backend.name,
        backend_title=backend.title,
        engine=backend.version,
        threads=backend.threads,
        seconds=batches.seconds,
        command=command,
        results=batches.results,
        labels=job.labels,
        plan=plan,
        batches=batches,
        energy=energy,
        average=job.average,
    )


def _steps(arguments):
    """The steps of a schedule in a file; none without one."""
    return read(arguments.schedule) if arguments.schedule not in (None, "-") else ()


def _plan(arguments, job, asked, steps, meter):
    """What sets each batch's budget."""
    if steps:
        return SchedulePlan(steps)
    if arguments.schedule:
        return LinesPlan(sys.stdin, asked, job.check, warn)
    if arguments.limit:
        low = budget.smallest("flops", job.exits, job.board).amount
        feedback = gauge.batch_gauge(meter, job.board, arguments.rate)
        return LimitPlan(parse_limit(arguments.limit), low, job.exits[-1]["flops"], feedback)
    return FixedPlan(asked)


# ------------------------------------------------------------------------------------------------------------ output
def _write(arguments, files, found):
    """Every file that can be written, then the table or JSON; UserError at the end for what went wrong."""
    summary = {**report.summarize(found.run), "failure": found.failure or None}
    problems = [found.failure] if found.failure else []
    rows, contents = _where_time_goes(arguments, found, problems)
    contents["--json"] = report.json_text({**summary, **({"layers": rows} if rows else {})})
    if "--picture" in files:
        contents["--picture"] = picture.draw(found.run, summary, found.images)
    if found.trace is not None:
        contents["--trace"] = found.trace.csv()
    try:
        files.write(contents)
    except OutputError as error:
        problems.append(str(error))
    text = table(summary) + (f"\n\n{layer_table(rows, summary['images'])}" if rows else "")
    print(contents["--json"] if arguments.json == "-" else text + "\n", end="", flush=True)
    if problems:
        raise UserError("; ".join(problems))


def _where_time_goes(arguments, found, problems):
    """(rows of --layers, {"--timeline": text}), as far as they are asked for; what went wrong joins the problems."""
    run, rows, contents = found.run, [], {}
    try:
        if arguments.layers:
            rows = layers(run.package, run.start, run.results, found.images)
        if arguments.timeline:
            contents["--timeline"] = run_trace(run, found.images, warn)
    except UserError as error:
        problems.append(str(error))
    return rows, contents


def warn(message):
    """One line of warning, on standard error."""
    say("run", message)


if __name__ == "__main__":
    sys.exit(main())
