"""Traces from files: the CSV that Trace.write_csv writes, and those of other meters' programs.

    trace = read_csv("trace.csv")                    # time_s, voltage_V, current_A, power_W, device_time_s
    trace = read_csv("ppk2.csv", volt=12.0)          # Timestamp(ms),Current(uA): the program does not keep the voltage

What a foreign column is follows from its name ("Main current (mA)", "#time", "i_avg") and its unit, the separator from
the header; a mark of the encoding, lines before the header and decimal commas do no harm. More than MOST_HZ samples a
second are averaged in groups, which keeps their energy.
"""

import codecs
import csv
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from hls.errors import UserError
from host.meters.trace import COLUMNS, Trace

MOST_HZ = 2000.0
HEADER_LINES = 40  # among which a header is looked for
UNITS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "a": 1, "ma": 1e-3, "ua": 1e-6, "na": 1e-9}
UNITS |= {"v": 1, "mv": 1e-3, "w": 1, "mw": 1e-3, "uw": 1e-6}
ROLES = {  # what a column's name begins a word with, or is
    "time": re.compile(r"\b(time|timestamp|elapsed|t)\b"),
    "ampere": re.compile(r"\b(current|amps?|amperes?|i)\b"),
    "volt": re.compile(r"\b(voltage|volts?|v)\b"),
    "watt": re.compile(r"\b(power|watts?|p)\b"),
}
OTHERS = re.compile(r"\b(min|max|std|device|integral|energy|charge)\b")  # figures that are no samples
FORMS = "columns of time, current and voltage, each with its unit, like Timestamp(ms),Current(uA),Voltage(V)"


def read_csv(path, volt=None):
    """The Trace in a file. UserError names what is wrong and the line.

    `volt` (V) is the supply's voltage where the file has none, as a Power Profiler Kit's.
    """
    path = Path(path)
    try:
        lines = _decoded(path.read_bytes()).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())}): give a trace's CSV") from None
    if lines and lines[0].strip() == ",".join(COLUMNS):
        return _ours(path, lines)
    at, columns, separator = _header(path, lines)
    table = _table(path, lines, at, columns, separator)
    if volt is None and "volt" not in columns and not {"watt", "ampere"} <= set(columns):
        raise UserError(f"{path} has no column of voltage: give the supply's, replay:{path.name}?volt=12")
    return _trace(path, table, volt)


def _decoded(data):
    """Text of a file of any of the encodings that programs write. UnicodeDecodeError is a ValueError."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in data[:4096]:
            raise
        return data.decode("latin-1")  # "µA" of an older program


# ------------------------------------------------------------------------------------------------------------ our own
def _ours(path, lines):
    """The Trace that write_csv wrote."""
    try:
        rows = [_numbers(line) for line in lines[1:]]
    except ValueError as error:
        at = next(index for index, line in enumerate(lines[1:], 2) if not _is_row(line))
        raise UserError(f"{path}: line {at} is not five numbers ({error}): damaged, record it again") from None
    if len(rows) < 2:
        raise UserError(f"{path} has {len(rows)} samples, expected 2 or more: record it again")
    time_s, volt, ampere, watt, device_s = np.array(rows).T
    if (np.diff(time_s) <= 0).any():
        at = int(np.argmax(np.diff(time_s) <= 0)) + 3
        raise UserError(f"{path}: line {at} is not later than the line before: damaged, record it again")
    if not np.isclose(watt, volt * ampere, rtol=1e-3, atol=1e-4).all():
        at = int(np.argmin(np.isclose(watt, volt * ampere, rtol=1e-3, atol=1e-4))) + 2
        raise UserError(f"{path}: line {at} has a power that is not voltage × current: damaged, record it again")
    device = None if np.isnan(device_s).any() else device_s
    drift = float("nan") if device is None else (np.ptp(device) / np.ptp(time_s) - 1) * 1e6
    return Trace(time_s, volt, ampere, watt, device, drift)


def _numbers(line):
    values = line.split(",")
    if len(values) != len(COLUMNS):
        raise ValueError(f"{len(values)} values")
    numbers = [float(value) for value in values[:4]] + [float(values[4]) if values[4].strip() else float("nan")]
    if not np.isfinite(numbers[:4]).all():
        raise ValueError("not finite")
    return numbers


def _is_row(line):
    try:
        _numbers(line)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- others'
def _header(path, lines):
    """(index of the header's line, role → (column, factor to SI units), separator). UserError without one."""
    for at, line in enumerate(lines[:HEADER_LINES]):
        separator = max(";\t,", key=line.count)
        columns = {}
        for index, name in enumerate(_cells(line, separator)):
            role, factor = _column(name)
            if role:
                columns.setdefault(role, (index, factor))
        if "time" in columns and len({"ampere", "volt", "watt"} & set(columns)) and separator in line:
            if "ampere" not in columns and not {"volt", "watt"} <= set(columns):
                break
            return at, columns, separator
    found = repr(lines[0][:60]) if lines else "nothing"
    raise UserError(f"{path} starts with {found}, expected {FORMS}, or {','.join(COLUMNS)}: export it as such a CSV")


def _column(name):
    """(role or None, factor to SI units) of a column by its name."""
    text = name.strip().strip('"#\ufeff ').strip().lower().replace("µ", "u").replace("μ", "u")
    unit = re.search(r"[(\[]\s*(\w+)\s*[)\]]\s*$|(?<=[a-z])[_ ]([munkp]?[savw])$", text)
    words = re.sub(r"[_.]", " ", text[: unit.start()] if unit else text)
    if OTHERS.search(words):
        return None, 1.0
    role = next((role for role, pattern in ROLES.items() if pattern.search(words)), None)
    factor = UNITS.get(unit[1] or unit[2]) if unit else 1.0
    return (None, 1.0) if factor is None else (role, factor)


def _table(path, lines, at, columns, separator):
    """Role → samples (N,) float64 in SI units. UserError names the line that is not numbers."""
    rows = [line for line in lines[at + 1 :] if line.strip()]
    comma = separator != "," and any("," in row for row in rows)
    width = len(_cells(lines[at], separator))
    wanted = [index for index, _ in columns.values()]
    stamped = bool(rows) and not _is_number(_cells(rows[0], separator, comma), columns["time"][0])

    def numbers(row):
        cells = _cells(row, separator, comma)
        if any(cells[width:]):  # as decimal commas between commas give
            raise ValueError(f"{len(cells)} values in {width} columns")
        return _values(cells, wanted, columns, stamped)

    try:
        values = np.array([numbers(row) for row in rows], float)
    except (ValueError, IndexError) as error:
        number = lines.index(next(row for row in rows if not _fits(numbers, row))) + 1
        text = " ".join(str(error).split())[:60]
        raise UserError(f"{path}: line {number} is not numbers in its columns ({text}): export it again") from None
    if len(values) < 2:
        raise UserError(f"{path} has {len(values)} samples, expected 2 or more: record it again")
    scaled = zip(columns.items(), values.T)
    return {role: samples * (1 if role == "time" and stamped else factor) for (role, (_, factor)), samples in scaled}


def _cells(row, separator, comma=False):
    """The cells of a line; a separator within quotes belongs to its cell."""
    cells = [cell.strip() for cell in next(csv.reader([row], delimiter=separator, skipinitialspace=True))]
    return [cell.replace(",", ".") for cell in cells] if comma else cells


def _values(cells, wanted, columns, stamped):
    """The row's wanted numbers; a time that is a date becomes seconds."""
    clock = columns["time"][0]
    return [_seconds(cells[at]) if stamped and at == clock else float(cells[at]) for at in wanted]


def _seconds(text):
    """Seconds of a date and time as ISO 8601 writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _is_number(cells, at):
    try:
        float(cells[at])
    except (ValueError, IndexError):
        return False
    return True


def _fits(numbers, row):
    try:
        return bool(numbers(row))
    except (ValueError, IndexError):
        return False


def _trace(path, table, volt):
    """The Trace of a table, at MOST_HZ or less."""
    time_s = table["time"]
    if not all(np.isfinite(samples).all() for samples in table.values()):
        raise UserError(f"{path} has samples that are no finite numbers: export it again")
    if (np.diff(time_s) < 0).any():
        at = int(np.argmax(np.diff(time_s) < 0)) + 2
        raise UserError(f"{path}: sample {at} is earlier than the one before: damaged, export it again")
    volts = table.get("volt", np.full(len(time_s), np.nan if volt is None else float(volt)))
    with np.errstate(divide="ignore", invalid="ignore"):
        amperes = table["ampere"] if "ampere" in table else table["watt"] / volts
        volts = np.where(np.isnan(volts), table.get("watt", np.nan) / amperes, volts)
    if not (np.isfinite(volts).all() and np.isfinite(amperes).all()):
        raise UserError(f"{path} has power without current, or no voltage: give replay:{path.name}?volt=12")
    groups = _groups(path, time_s)
    time_s, volts, watt = (_means(values, groups) for values in (time_s, volts, volts * amperes))
    return Trace(time_s, volts, watt / volts, watt)


def _groups(path, time_s):
    """Samples that become one, so that there are at most MOST_HZ and no two at a time. UserError."""
    span = float(time_s[-1] - time_s[0])
    if span <= 0:
        raise UserError(f"{path}: all samples are at one time: export it with more digits")
    size = max(int(np.ceil((len(time_s) - 1) / span / MOST_HZ - 1e-9)), 1)
    while size < len(time_s) // 2 and (np.diff(_means(time_s, size)) <= 0).any():
        size += 1
    return size


def _means(values, size):
    """Means of `values` (N,) over groups of `size`; an incomplete group at the end is left out."""
    count = len(values) // size
    return values[: count * size].reshape(count, size).mean(axis=1)
