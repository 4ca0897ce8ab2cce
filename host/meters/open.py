"""Power meters: one interface, opened by a text that says which.

    with open_meter("serial:/dev/ttyUSB0?baud=115200") as meter:   # or visa:ASRL/dev/ttyUSB1::INSTR, replay:FILE
        meter.start()
        ...
        trace = meter.stop()                                       # time_s, volt, ampere, watt

`python -m host.meters record` tries one out, `python -m host.meters calibrate` compares it with a multimeter;
docs/power.md says how to wire one. What a meter needs beyond numpy (pyserial, pyvisa) is imported when it is opened.
"""

from urllib.parse import parse_qsl

from hls.errors import UserError

FORMS = (
    "serial:/dev/ttyUSB0[?baud=115200], visa:ASRL/dev/ttyUSB1::INSTR, visa:TCPIP::HOST::5025::SOCKET, "
    "joulescope:[SERIAL] or replay:FILE"
)


def open_meter(text):
    """The Meter that `text` asks for, opened. UserError when it is not understood or cannot be opened."""
    scheme, colon, rest = str(text).partition(":")
    kinds = {"serial": _serial, "visa": _visa, "joulescope": _joulescope, "replay": _replay}
    if not colon or scheme not in kinds or not (rest or scheme == "joulescope"):
        raise UserError(f"meter {str(text)[:60]!r} is not understood: expected {FORMS}")
    address, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if query and not options:
        raise UserError(f"meter {str(text)[:60]!r}: {query!r} is no option, expected KEY=VALUE: see docs/power.md")
    return kinds[scheme](address, options)


def _serial(address, options):
    from host.meters.serial_line import SerialMeter

    return SerialMeter(address, options)


def _visa(address, options):
    from host.meters.visa import VisaMeter

    return VisaMeter(address, options)


def _joulescope(address, options):
    from host.meters.joulescope import JoulescopeMeter

    return JoulescopeMeter(address, options)


def _replay(address, options):
    from host.meters.replay import ReplayMeter

    return ReplayMeter(address, options)
