"""Try a meter out, or calibrate it against a multimeter.

    python -m host.meters record serial:/dev/ttyUSB0 --seconds 10 --csv trace.csv
    python -m host.meters calibrate serial:/dev/ttyUSB0 -o cal.json --multimeter-percent 0.5

`record` prints what came: rate, mean and spread of the power, lost samples, drift of the clock. `calibrate` asks for
the multimeter's volts and amperes at three or more loads. Exit codes: 0 done; 2 bad input or a meter that fails.
"""

import argparse
import math
import sys
import time

from hls.errors import UserError
from host.meters.calibration import fit, write_calibration
from host.meters.open import FORMS, open_meter

POINT_S = 5.0  # averaged at each load


def main(argv=None):
    """Exit code 0, or 2 with one line on standard error."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"{error}: check that the file can be written"
    except KeyboardInterrupt:
        message = "interrupted: nothing was written"
    print(f"meters: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m host.meters", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True)
    for name, run in (("record", record), ("calibrate", calibrate)):
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("meter", help=FORMS.replace("%", "%%"))
        command.set_defaults(run=run)
        if name == "record":
            command.add_argument("--seconds", type=float, default=10.0, help="how long")
            command.add_argument("--csv", metavar="FILE", help="keep the trace, units in the column names")
        else:
            command.add_argument("-o", "--output", metavar="FILE", required=True, help="where the calibration goes")
            command.add_argument("--seconds", type=float, default=POINT_S, help="averaged at each load")
            text = "standard uncertainty of the multimeter, %% of the reading"
            command.add_argument("--multimeter-percent", type=float, default=0.5, help=text)
    return parser


def record(arguments):
    """Sample for a while, and say what came."""
    with open_meter(arguments.meter) as meter:
        trace = sampled(meter, arguments.seconds)
    if arguments.csv:
        trace.write_csv(arguments.csv)
    rate = 1 / trace.period_s
    deviation = float(trace.watt.std(ddof=1))
    print(f"{meter.name}: {len(trace.watt):,} samples, {rate:.4g} a second")
    print(f"power      mean {trace.watt.mean():.5g} W, standard deviation {deviation:.3g} W a sample")
    print(f"supply     {trace.volt.mean():.5g} V, {trace.ampere.mean():.5g} A")
    print(f"gaps       {len(trace.gaps)}")
    drift = "the meter has none" if math.isnan(trace.drift_ppm) else f"{trace.drift_ppm:+.0f} ppm of the host's"
    print(f"its clock  {drift}")
    for warning in trace.warnings:
        print(f"meters: {warning}", file=sys.stderr)
    return 0


def sampled(meter, seconds):
    """The Trace of so many seconds. UserError when they are none, or the meter fails meanwhile."""
    if not 0 < seconds < 1e6:
        raise UserError(f"--seconds {seconds:g}: expected more than 0")
    meter.start()
    end_s = time.monotonic() + seconds
    while (left := end_s - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
        meter.check()
    return meter.stop()


def calibrate(arguments):
    """Compare with a multimeter at several loads, and write the calibration."""
    if not 0 < arguments.multimeter_percent < 50:
        raise UserError(f"--multimeter-percent {arguments.multimeter_percent:g}: expected more than 0, under 50")
    pairs = []
    with open_meter(arguments.meter) as meter:
        if meter.calibration is not None:
            raise UserError("this meter has a calibration already: leave its option calibration away")
        print("At each load, wait until it is steady, then type the multimeter's volts and amperes; empty to end.")
        while (typed := _asked(len(pairs) + 1)) is not None:
            trace = sampled(meter, arguments.seconds)
            pairs.append((trace.volt.mean(), trace.ampere.mean(), *typed))
            print(f"  meter: {pairs[-1][0]:.5g} V, {pairs[-1][1]:.5g} A")
    found = fit(pairs, arguments.multimeter_percent / 100)
    write_calibration(arguments.output, found)
    print(f"current × {found.ampere_gain:.5g}, offset {1e3 * found.ampere_offset:+.3g} mA")
    print(f"voltage × {found.volt_gain:.5g}; uncertainty {found.gain_uncertainty:.2%} of the power")
    return 0


def _asked(number):
    """(V, A) as typed, or None for an empty line or the end of input. UserError for anything else."""
    try:
        text = input(f"load {number}, multimeter V A: ").split()
    except EOFError:
        return None
    if not text:
        return None
    try:
        volt, ampere = (float(word) for word in text)
    except ValueError:
        raise UserError(
            f"{' '.join(text)[:40]!r} is not two numbers: expected volts and amperes, like 12.01 0.214"
        ) from None
    return volt, ampere


if __name__ == "__main__":
    sys.exit(main())
