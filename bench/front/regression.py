"""Whether the committed rows still hold: a quick run of what they say, compared with them.

    python -m bench.front.regression            # make bench-check
    python -m bench.front.regression --exact    # without the speeds, for a machine that is busy

FLOPs, cycles and all that follows from them must be the same on every machine, so a difference to either side fails. A
speed is a ratio to ONNX Runtime's of the same minute: it fails where the best of its repetitions is below the worst of
the committed row's. Such a row is compared on machines like its own alone.
"""

import math
import sys

from bench import engine
from bench.front import main_command
from bench.networks import oracle_speed
from bench.packages import PACKAGES, fingerprint
from bench.rows import Rows, latest
from data.datasets import load_sample
from hls.command.arguments import THREADS, Parser
from hls.command.entry import guarded
from hls.package import read

COUNTED = ("FLOPs", "cycles")  # whole, or means of whole numbers
ROUNDING = 1e-9  # of what is divided: sums in another order


def main(argv=None):
    """Exit code 0 where all holds, 1 where a row does not, 2 for what stops the run."""
    parser = Parser(prog="python -m bench.front.regression", description=__doc__.splitlines()[0])
    parser.add_argument("--exact", action="store_true", help="leave out the speeds against ONNX Runtime")
    parser.add_argument("--threads", type=THREADS, default=2, help="of the co-simulation (default: %(default)s)")
    arguments = parser.parse_args(argv)
    return guarded("bench-check", lambda: _check(arguments))


def _check(arguments):
    rows, kept = fresh(arguments.threads, not arguments.exact).rows, latest()
    found = [(row, verdict(row, kept.get(row["name"]))) for row in rows]
    for row, (text, holds) in found:
        if not holds:
            print(f"error: {row['name']}: {text}", file=sys.stderr)
    fallen, passed = (sum(not holds for _, (_, holds) in found), sum(text == "" for _, (text, _) in found))
    print(f"{passed} of {len(found)} rows hold, {fallen} do not, {len(found) - passed - fallen} are of other machines")
    return 1 if fallen else 0


def fresh(threads, speeds):
    """The Rows of a quick run: what the engine counts on the embedded sample, and its speed."""
    rows, name = Rows("regression", "python -m bench.front.regression"), engine.NAME
    package, sha256, images = read(PACKAGES / f"{name}.npz"), fingerprint(name), load_sample()[0]
    main_command.add(rows, main_command.typed()[0])
    engine.add_priced(rows, package, sha256, images, threads)
    if speeds:
        oracle_speed.add_rows(rows, package, sha256, images)
    return rows


def verdict(row, kept):
    """("" or a sentence, whether it holds) for a fresh row and the committed one, None where there is none."""
    again = f"run python -m bench {'main_command' if row['name'].startswith('main_command') else 'engine'}"
    if kept is None:
        return f"no committed row: {again}", False
    if kept["package"] != row["package"]:
        return f"the committed row is of package {kept['package']}, here is {row['package']}: {again}", False
    if row["kind"] == "measured":
        return _speed(row, kept)
    tolerance = 0 if row["unit"] in COUNTED else ROUNDING
    if math.isclose(row["value"], kept["value"], rel_tol=tolerance, abs_tol=0):
        return "", True
    return f"{row['value']} {row['unit']}, committed {kept['value']}: mend it, or where it is meant {again}", False


def _speed(row, kept):
    """Of a ratio of speeds, against the spread of the repetitions on both sides."""
    if kept["host"] != row["host"]:
        return f"measured on {kept['host']}, this is {row['host']}", True
    least, best = kept.get("detail", {}).get("lowest", kept["value"]), row["detail"]["highest"]
    if best >= least:
        return "", True
    return f"at best {best:.3f} in {row['n']} repetitions, committed {kept['value']:.3f}, at worst {least:.3f}", False


if __name__ == "__main__":
    sys.exit(main())
