"""Run a package's network on images under a hard budget, and report what it took.

    python host/run.py --budget 74M                          # the default package on the embedded images
    python host/run.py --package cifar10 --budget 1.5ms --json result.json --picture result.svg
    python host/run.py --schedule day.txt --watch            # budgets that change (host/budgets/schedule.py)
    python host/run.py --average-budget 74M                  # easy images stop early (host/budgets/average.py)
    python host/run.py --budget 74M --pool 100               # any 100 images in a row share 100 times the budget
    python host/run.py --limit 0.8mJ                         # keeps an average (host/budgets/limit.py)
    python host/run.py --backend remote:zed1,zed2            # boards that run host/server.py
    python host/run.py --package mine.npz --image cat.jpg    # pictures of one's own (docs/own.md); - for stdin
    python host/run.py --package mine.npz --camera 0         # what a camera sees

Exit codes: 0 done; 2 bad input or interrupted, with one line that says what to do and no file written; 3 an image spent
more than its budget, which is a fault of the engine.
"""

import os
import shlex
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.errors import UserError
from host.arguments import check_run, run_parser
from host.backends import open_backend
from host.batches import run_batches
from host.budgets import budget
from host.budgets.limit import LimitPlan, parse_limit
from host.budgets.plan import FixedPlan
from host.budgets.schedule import LinesPlan, SchedulePlan, read
from host.energy import gauge
from host.files import write_whole
from host.job import read_job
from host.meters.open import open_meter
from host.verdict import OverBudget
from host.views import picture, report
from host.views.live import Progress, Watch
from host.views.table import table


def main(argv=None):
    """Run, report, and give the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = run_parser(__doc__).parse_args(argv)
    command = shlex.join(["python", "host/run.py", *argv])
    return guarded("run", lambda: _run_and_write(arguments, command))


def _run_and_write(arguments, command):
    if arguments.image or arguments.camera is not None:
        from host.front import command as front  # a run on labelled data does without

        check_run(arguments)
        return front.run(arguments, warn)
    run, images, trace = execute(arguments, command)
    _write(arguments, run, images, trace)
    return 0


def guarded(name, work):
    """The exit code of `work()`, or of what went wrong in it, which is said in one line."""
    try:
        return work()
    except OverBudget as error:
        return _fail(name, error, 3)
    except UserError as error:
        return _fail(name, error, 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains when it ends
        return _fail(name, "standard output was closed before the result was printed", 2)
    except OSError as error:
        return _fail(name, f"{error}: check that the file can be read or written", 2)
    except MemoryError:
        return _fail(name, "not enough memory: give fewer --images", 2)
    except KeyboardInterrupt:
        return _fail(name, "interrupted: nothing was written", 2)


def _fail(name, message, code):
    Progress().end()
    print(f"{name}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


# --------------------------------------------------------------------------------------------------------------- run
def execute(arguments, command):
    """Run what the arguments ask for: (report.Run, images (N, H, W, C) uint8, power trace or None). UserError."""
    check_run(arguments)
    asked = budget.parse(arguments.budget)
    steps = _steps(arguments)
    job = read_job(arguments)
    asked_for = (asked, *(step.budget for step in steps))
    job.check_all(asked_for)
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
        energy, trace = gauge.energy(meter, backend, job, plan, batches)
        run = finished(job, backend, plan, batches, energy, command)
    return run, job.images, trace


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
def _write(arguments, run, images, trace):
    """The table or JSON, the picture and the trace; files appear whole, once all of them are made."""
    summary = report.summarize(run)
    files = {}
    if arguments.picture:
        files[arguments.picture] = picture.draw(run, summary, images)
    if arguments.json and arguments.json != "-":
        files[arguments.json] = report.json_text(summary)
    for path, text in files.items():
        write_whole(path, text)
    if arguments.trace and trace is not None:
        trace.write_csv(arguments.trace)
    text = report.json_text(summary) if arguments.json == "-" else table(summary) + "\n"
    print(text, end="", flush=True)


def warn(message):
    """One line of warning, on standard error."""
    Progress().end()
    print(f"run: {message}", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by another program: as by Ctrl-C
    sys.exit(main())
