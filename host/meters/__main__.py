"""Try a meter out, or calibrate it against a multimeter.

    python -m host.meters record serial:/dev/ttyUSB0 --seconds 10 --csv trace.csv
    python -m host.meters calibrate serial:/dev/ttyUSB0 -o cal.json --multimeter-percent 0.5

`record` prints what came: rate, mean and spread of the power, lost samples, drift of the clock. `calibrate` asks for
the multimeter's volts and amperes at three or more loads. Each load is kept in a file beside the calibration as soon as
it is measured (cal.json.loads), so that a broken off calibration goes on by the same command; it is deleted at the end.
Exit codes: 0 done; 2 bad input, a meter or a file that fails, or interrupted.
"""

import argparse
import math
import sys
import time
from pathlib import Path

from hls.command.arguments import Parser, Real
from hls.command.entry import guarded, say
from hls.command.outputs import Output, OutputError, Outputs, write
from hls.errors import UserError
from host.meters.calibration import fit, write_calibration
from host.meters.open import FORMS, open_meter

POINT_S = 5.0  # averaged at each load
SECONDS, PERCENT = Real(0, 1e6, without_least=True), Real(0, 50, without_least=True)


def main(argv=None):
    """Exit code 0, or 2 with one line on standard error."""
    arguments = _parser().parse_args(argv)
    return guarded("meters", lambda: arguments.run(arguments), lambda: _interrupted(arguments))


def _interrupted(arguments):
    kept = _loads(arguments.output) if arguments.run is calibrate else None
    if kept is None or not kept.exists():
        return "interrupted: nothing was written"
    return f"interrupted: the loads so far are kept in {kept}, the same command goes on from there"


def _parser():
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m host.meters", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True)
    for name, run in (("record", record), ("calibrate", calibrate)):
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("meter", help=FORMS.replace("%", "%%"))
        command.set_defaults(run=run)
        if name == "record":
            command.add_argument("--seconds", type=SECONDS, default=10.0, help="how long")
            command.add_argument("--csv", metavar="FILE", help="keep the trace, units in the column names")
        else:
            command.add_argument("-o", "--output", metavar="FILE", required=True, help="where the calibration goes")
            command.add_argument("--seconds", type=SECONDS, default=POINT_S, help="averaged at each load")
            text = "standard uncertainty of the multimeter, %% of the reading"
            command.add_argument("--multimeter-percent", type=PERCENT, default=0.5, help=text)
    return parser


# --------------------------------------------------------------------------------------------------------------- record
def record(arguments):
    """Sample for a while, and say what came; what came before a failure or an interrupt is kept too."""
    with Outputs({"--csv": arguments.csv}, [arguments.meter.removeprefix("replay:").partition("?")[0]]) as files:
        with open_meter(arguments.meter) as meter:
            trace, failure = _recorded(meter, arguments.seconds)
        problems = [failure] if failure else []
        try:
            files.write({"--csv": trace.csv()})
        except OutputError as error:
            problems.append(str(error))
    _show(meter, trace)
    if problems:
        raise UserError("; ".join(problems))
    return 0


def _recorded(meter, seconds):
    """(the Trace, what broke it off or ""). Raises that where no Trace is left."""
    try:
        return sampled(meter, seconds), ""
    except (UserError, KeyboardInterrupt) as error:
        kept = meter.kept()
        if kept is None:
            raise
        return kept, str(error) or "interrupted: these are the samples so far"


def _show(meter, trace):
    rate = 1 / trace.period_s
    deviation = float(trace.watt.std(ddof=1))
    print(f"{meter.name}: {len(trace.watt):,} samples, {rate:.4g} a second")
    print(f"power      mean {trace.watt.mean():.5g} W, standard deviation {deviation:.3g} W a sample")
    print(f"supply     {trace.volt.mean():.5g} V, {trace.ampere.mean():.5g} A")
    print(f"gaps       {len(trace.gaps)}")
    drift = "the meter has none" if math.isnan(trace.drift_ppm) else f"{trace.drift_ppm:+.0f} ppm of the host's"
    print(f"its clock  {drift}")
    for warning in trace.warnings:
        say("meters", warning)


def sampled(meter, seconds):
    """The Trace of so many seconds. UserError when the meter fails meanwhile."""
    meter.start()
    end_s = time.monotonic() + seconds
    while (left := end_s - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
        meter.check()
    return meter.stop()


# ------------------------------------------------------------------------------------------------------------ calibrate
def calibrate(arguments):
    """Compare with a multimeter at several loads, and write the calibration."""
    with Output(arguments.output, "--output") as output, open_meter(arguments.meter) as meter:
        if meter.calibration is not None:
            raise UserError("this meter has a calibration already: leave its option calibration away")
        kept = _loads(arguments.output) if output.whole else None
        try:
            found = fit(_measured_loads(meter, arguments.seconds, kept), arguments.multimeter_percent / 100)
        except UserError as error:
            also = kept is not None and kept.exists()
            raise UserError(f"{error}; the loads so far are kept in {kept}" if also else str(error)) from None
        print(f"current × {found.ampere_gain:.5g}, offset {1e3 * found.ampere_offset:+.3g} mA")
        print(f"voltage × {found.volt_gain:.5g}; uncertainty {found.gain_uncertainty:.2%} of the power")
        write_calibration(output, found)
    if kept is not None:
        kept.unlink(missing_ok=True)
    return 0


def _measured_loads(meter, seconds, kept):
    """The loads, [(meter's V, A, multimeter's V, A)], each written to `kept` as soon as it is measured. UserError."""
    pairs = _read_loads(kept)
    print("At each load, wait until it is steady, then type the multimeter's volts and amperes; empty to end.")
    while (typed := _asked(len(pairs) + 1)) is not None:
        trace = sampled(meter, seconds)
        pairs.append((float(trace.volt.mean()), float(trace.ampere.mean()), *typed))
        print(f"  meter: {pairs[-1][0]:.5g} V, {pairs[-1][1]:.5g} A")
        if kept is not None:
            write(kept, "".join(" ".join(map(repr, pair)) + "\n" for pair in pairs))
    return pairs


def _loads(path):
    """The file that keeps the loads of a calibration which is not done."""
    return Path(f"{path}.loads")


def _read_loads(kept):
    """The loads of a calibration that was broken off, [(meter's V, A, multimeter's V, A)], which is said. UserError."""
    if kept is None or not kept.exists():
        return []
    try:
        pairs = [tuple(map(float, line.split())) for line in kept.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        pairs = [()]
    if not all(len(pair) == 4 for pair in pairs):
        raise UserError(f"{kept} is damaged, expected four numbers a line: mend it, or delete it to begin anew")
    print(f"Going on with {len(pairs)} loads of {kept}; delete it to begin anew.")
    return pairs


def _asked(number):
    """(V, A) as typed, or None for an empty line or the end of input; asks again for anything else."""
    while True:
        try:
            text = input(f"load {number}, multimeter V A: ").split()
        except EOFError:
            return None
        if not text:
            return None
        try:
            volt, ampere = (float(word) for word in text)
            if volt > 0 and math.isfinite(volt) and math.isfinite(ampere):
                return volt, ampere
        except ValueError:
            pass
        shown = " ".join(text)[:40]
        say("meters", f"{shown!r} is not two numbers: expected volts and amperes, like 12.01 0.214, or an empty line")


if __name__ == "__main__":
    sys.exit(main())
