"""Meters: what open_meter takes, the line protocol, clocks, traces and their CSV, calibration, commands."""

import builtins
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.standin.meter import LineMeter, ScpiMeter, Unplug
from hls.errors import UserError
from host.meters import __main__ as command
from host.meters import serial_line
from host.meters.__main__ import main
from host.meters.base import Meter
from host.meters.calibration import Calibration, fit, read_calibration, write_calibration
from host.meters.open import open_meter
from host.meters.protocol import MAX_LINE, WRAP_US, Clock, Lines, sample_line
from host.meters.recorded import read_csv
from host.meters.trace import COLUMNS, Collector, Trace, align

STAMPS = st.integers(0, WRAP_US - 1)


def lines(count=50, step_us=2500, start_us=0):
    """What a meter sends, sample by sample: a list of bytes."""
    return [sample_line(start_us + step_us * index, 12000 + index % 7, 214.25 + index % 5) for index in range(count)]


def fed(pieces, step_s=0.0025, **options):
    """The Collector after `pieces`, one every `step_s`."""
    collector = Collector()
    reader = Lines("m", collector, **options)
    for index, piece in enumerate(pieces):
        reader.feed(piece, 100 + step_s * index)
    return collector


# -------------------------------------------------------------------------------------------------------- what is asked
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'' is not understood: expected serial:/dev/ttyUSB0"),
        ("serial:", "is not understood"),
        ("/dev/ttyUSB0", "is not understood"),
        ("usb:1", "is not understood"),
        ("serial:/dev/null?fast", "unknown option 'fast'"),
        ("serial:/dev/null?&", "is no option, expected KEY=VALUE"),
        ("serial:/dev/null?baud=-1", "expected a number above 0"),
        ("serial:/dev/null?baud=nan", "expected a number above 0"),
        ("replay:/nowhere/trace.csv", "cannot be read"),
        ("visa:ASRL/dev/null::INSTR?end=tab", "option end is 'tab', expected lf, cr, crlf"),
        ("visa:ASRL/dev/null::INSTR?library=@nothing", "pyvisa has no such library"),
    ],
)
def test_what_is_refused(text, expected):
    with pytest.raises(UserError, match=expected.replace("?", "\\?")) as error:
        open_meter(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (13, "Permission denied", "group dialout"),
        (2, "No such file or directory", "no such port"),
        (11, "Could not exclusively lock port", "another program has it open"),
        (None, "odd", "odd: expected a serial port"),
    ],
)
def test_why_a_port_cannot_be_opened(code, text, expected):
    assert expected in serial_line._why(OSError(code, text) if code else ValueError(text))


# --------------------------------------------------------------------------------------------------------- the protocol
def test_samples_are_what_was_sent():
    collector = fed(lines())
    assert (len(collector), collector.bad, collector.dropped) == (50, 0, 0)
    trace = collector.trace("m")
    assert trace.volt[:2].tolist() == [12.0, 12.001] and trace.ampere[:2].tolist() == [0.21425, 0.21525]
    assert trace.device_s[1] == pytest.approx(0.0025) and trace.watt[1] == pytest.approx(12.001 * 0.21525)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200))
def test_bytes_may_come_in_any_pieces(sizes):
    data, pieces = b"".join(lines()), []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    collector = fed([*pieces, data], step_s=1e-4)
    assert (len(collector), collector.bad) == (50, 0)


@given(st.integers(1, 49), st.integers(0, 25), st.integers(1, 255))
def test_one_wrong_byte_is_never_a_sample(at, place, flip):
    """The checksum sees it. A newline may become part of a line, or a byte a newline: still nothing wrong gets in."""
    sent = lines()
    good = {(float(line.split(b",")[1]), float(line.split(b",")[2].split(b"*")[0])) for line in sent}
    broken = bytearray(sent[at])
    broken[place % len(broken)] ^= flip
    collector = fed([*sent[:at], bytes(broken), *sent[at + 1 :]])
    found = {(round(1e3 * volt, 2), round(1e3 * ampere, 2)) for _, _, volt, ampere in zip(*collector._columns)}
    assert found <= good and len(collector) >= 48


def test_a_line_cut_by_opening_the_port_is_no_damage():
    collector = fed([b"00.0,213.5*11\n", *lines(5), b"00.0,213.5*11\n"])
    assert (len(collector), collector.bad) == (5, 1)


@given(st.binary(max_size=400))
def test_garbage_is_counted_and_harmless(data):
    collector = fed([data.replace(b"#", b"-")])
    assert len(collector) == 0


def test_a_line_without_end_is_let_go():
    collector = Collector()
    reader = Lines("m", collector)
    for _ in range(100):
        reader.feed(b"1" * 100, 0.0)
    assert collector.junk_bytes > 9000 and len(reader._rest) <= MAX_LINE


def test_a_line_that_lost_its_end_needs_the_checksum():
    cut = [line.split(b"*")[0][:-1] + b"\n" for line in lines()]
    assert len(fed(cut)) == 0
    assert len(fed(cut, need_checksum=False)) == 50  # wrong by less than 0.1 mA each, and nobody can tell


@pytest.mark.parametrize(
    ("remark", "expected"),
    [
        (b"# ddi-meter 2 ina226\n", "version 2 of the line protocol, this reads 1"),
        (b"# error no answer from the sensor\n", "reports: no answer from the sensor"),
        (b"# boot watchdog\n", "restarted \\(watchdog\\)"),
        (
            b"9,1.0,ovf*" + b"%02X\n" % (ord("9") ^ ord("1") ^ ord(".") ^ ord("0") ^ ord("o") ^ ord("v") ^ ord("f")),
            "satur",
        ),
    ],
)
def test_what_the_firmware_reports(remark, expected):
    with pytest.raises(UserError, match=expected):
        fed([*lines(5), remark])


def test_the_first_start_is_no_restart():
    assert len(fed([b"# boot power-on\n", *lines(5), b"# hello\n"])) == 5


# --------------------------------------------------------------------------------------------------------------- clocks
@given(STAMPS, st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_the_clock_rises_through_wraps(start_us, steps):
    clock, stamp, passed = Clock("m"), start_us, 0
    assert clock.seconds(stamp, 5.0) == 0
    for step in steps:
        stamp, passed = (stamp + step) % WRAP_US, passed + step
        assert clock.seconds(stamp, 5.0 + passed / 1e6) == pytest.approx(passed / 1e6)


@pytest.mark.parametrize("step_us", [0, -1, -5000, -900_000])
def test_small_steps_back_are_dropped(step_us):
    clock = Clock("m")
    clock.seconds(10**6, 0.0)
    assert clock.seconds((10**6 + step_us) % WRAP_US, 0.01) is None
    assert clock.seconds(10**6 + 10, 0.02) == pytest.approx(1e-5)


@pytest.mark.parametrize(("start_us", "stamp"), [(10**7, 0), (3 * 10**9, 0), (0, 2 * 10**8)])
def test_a_restart_is_told_from_a_wrap(start_us, stamp):
    clock = Clock("m")
    clock.seconds(start_us, 0.0)
    with pytest.raises(UserError, match="clock jumped"):
        clock.seconds(stamp, 0.01)


def test_lines_that_the_host_reads_late_are_no_jump():
    clock = Clock("m")
    clock.seconds(0, 0.0)
    assert [clock.seconds(10_000 * index, 30.0) for index in range(1, 3000)][-1] == pytest.approx(29.99)


@pytest.mark.parametrize("ppm", [-20_000, -80, 0, 80, 100_000])
def test_the_drift_of_a_clock_is_found(ppm):
    random = np.random.default_rng(4)
    true_s = np.arange(0, 20, 0.005)
    device_s = true_s * (1 + 1e-6 * ppm)
    received = np.maximum.accumulate(true_s + 0.001 + random.exponential(0.004, len(true_s))) + 500
    time_s, drift = align(device_s, received)
    assert drift == pytest.approx(ppm, abs=40)
    assert np.abs(time_s - true_s - 500.001).max() < 5e-4


def test_a_short_trace_has_no_drift():
    time_s, drift = align(np.arange(10) / 100, 7 + np.arange(10) / 100)
    assert np.isnan(drift) and time_s[0] == 7


# --------------------------------------------------------------------------------------------------------------- traces
def trace(count=200, **change):
    """A trace of a meter at 200 Hz."""
    time_s = 50 + np.arange(count) / 200
    volt, ampere = np.full(count, 12.0), 0.2 + 0.001 * (np.arange(count) % 3)
    return Trace(time_s, volt, ampere, volt * ampere, time_s - 50, 0.0, **change)


def test_a_trace_survives_its_csv(tmp_path):
    path = tmp_path / "t.csv"
    written = trace()
    written.write_csv(path)
    assert path.read_text().splitlines()[0] == "time_s,voltage_V,current_A,power_W,device_time_s"
    found = read_csv(path)
    for name in ("time_s", "volt", "ampere", "watt", "device_s"):
        np.testing.assert_allclose(getattr(found, name), getattr(written, name), atol=1e-6)
    assert found.drift_ppm == pytest.approx(0, abs=10)
    Trace(written.time_s, written.volt, written.ampere, written.watt).write_csv(path)
    assert read_csv(path).device_s is None and np.isnan(read_csv(path).drift_ppm)


@given(st.integers(0, 198), st.integers(2, 20))
def test_gaps_are_found(at, missing):
    full = trace(400)
    keep = np.ones(400, bool)
    keep[at + 1 : at + 1 + missing] = False
    found = Trace(*(getattr(full, name)[keep] for name in ("time_s", "volt", "ampere", "watt", "device_s"))).gaps
    assert found.tolist() == [[full.time_s[at], full.time_s[at + 1 + missing]]]


def test_part_of_a_trace():
    part = trace().between(50.1, 50.2)
    assert len(part.time_s) == 20 and part.time_s[0] == 50.1 and len(part.device_s) == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [("nan,12,0.2,2.4,", "not finite"), ("1,12,0.2,x,", "line 2"), ("1,12,0.2,2.4,\n", "has 1 samples, expected 2")],
)
def test_damaged_csv(tmp_path, text, expected):
    (tmp_path / "t.csv").write_text(",".join(COLUMNS) + "\n" + text)
    with pytest.raises(UserError, match=expected):
        read_csv(tmp_path / "t.csv")


# ---------------------------------------------------------------------------------------------------------- calibration
def pairs(gain=1.03, offset=0.004, volt_gain=0.99, noise=0.0):
    """Readings at five loads of a meter that needs this calibration."""
    true = np.array([0.2, 0.4, 0.8, 1.2, 2.0])
    meter_a = true / gain + offset + noise * np.random.default_rng(2).normal(size=5)
    return np.stack([np.full(5, 12 / volt_gain), meter_a, np.full(5, 12.0), true], axis=1)


def test_a_calibration_puts_a_meter_right(tmp_path):
    found = fit(pairs(), 0.001)
    assert (found.ampere_gain, found.ampere_offset, found.volt_gain) == pytest.approx((1.03, 0.004, 0.99))
    assert found.gain_uncertainty == pytest.approx(0.001 * 2**0.5, rel=1e-6)
    write_calibration(tmp_path / "c.json", found)
    assert read_calibration(tmp_path / "c.json") == found
    assert found.ampere(0.5 / 1.03 + 0.004) == pytest.approx(0.5)


def test_noise_of_the_points_is_in_the_uncertainty():
    uncertain = fit(pairs(noise=0.01), 0.001)
    assert uncertain.gain_uncertainty > 0.003
    assert abs(uncertain.ampere_gain / 1.03 - 1) < 4 * uncertain.gain_uncertainty


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (pairs()[:2], "2 points"),
        (pairs()[[0, 0, 0]], "too alike"),
        (pairs(gain=1000), "check the units"),
        (np.full((3, 4), np.nan), "expected 3 or more"),
    ],
)
def test_points_that_do_not_do(points, expected):
    with pytest.raises(UserError, match=expected):
        fit(points, 0.005)


@pytest.mark.parametrize("change", [{"ampere_gain": 9.0}, {"gain_uncertainty": -1.0}, {"volt_gain": float("nan")}])
def test_a_calibration_out_of_range(tmp_path, change):
    values = {"ampere_gain": 1.0, "ampere_offset": 0.0, "volt_gain": 1.0, "gain_uncertainty": 0.01, "points": 5}
    write_calibration(tmp_path / "c.json", Calibration(**(values | change)))
    with pytest.raises(UserError, match="out of range"):
        read_calibration(tmp_path / "c.json")


# -------------------------------------------------------------------------------------------------- on pseudo-terminals
def test_a_meter_on_a_line(tmp_path):
    with LineMeter(rate_hz=400, start_us=WRAP_US - 200_000) as device, open_meter(device.address) as meter:
        assert meter.latest() is None
        meter.start()
        time.sleep(0.3)
        assert len(meter.so_far().time_s) > 50
        found = meter.stop()
        time_s, watt = meter.latest()
        assert abs(time.monotonic() - time_s) < 1 and watt == pytest.approx(2.57, abs=0.01)
        assert found.period_s == pytest.approx(0.0025, rel=0.01) and len(found.gaps) == 0
        meter.start()  # once more, from nothing
        assert len(meter.stop().time_s) < 100


def test_samples_from_before_a_restart_by_opening_are_dropped(monkeypatch):
    """An Arduino restarts when its port is opened; what it had sent before comes a moment later."""
    with LineMeter() as device, open_meter(device.address) as meter:
        opened_s, dropped_s = time.monotonic(), []
        drop = meter._port.reset_input_buffer
        monkeypatch.setattr(meter._port, "reset_input_buffer", lambda: (dropped_s.append(time.monotonic()), drop()))
        meter.start()
    assert dropped_s[0] - opened_s > 0.04


def test_a_calibration_is_applied(tmp_path):
    write_calibration(tmp_path / "c.json", Calibration(1.1, 0.0, 1.0, 0.01, 5))
    with LineMeter() as device, open_meter(f"{device.address}&calibration={tmp_path / 'c.json'}") as meter:
        meter.start()
        time.sleep(0.05)
        assert meter.stop().watt.mean() == pytest.approx(2.57 * 1.1, rel=0.01)
        assert meter.latest()[1] == pytest.approx(2.57 * 1.1, rel=0.01)


def test_a_scpi_instrument():
    with ScpiMeter() as device, open_meter(device.address) as meter:
        assert "STAND-IN" in meter.name
        meter.start()
        time.sleep(0.1)
        found = meter.stop()
        assert found.watt[0] == pytest.approx(12.001 * 0.21408) and found.device_s is None


def test_a_replay_plays_what_was_recorded(tmp_path):
    trace().write_csv(tmp_path / "t.csv")
    with open_meter(f"replay:{tmp_path / 't.csv'}?speed=4") as meter:
        assert meter.kind == "replayed"
        meter.start()
        time.sleep(0.15)
        found = meter.stop()
    assert found.period_s == pytest.approx(1 / 800, rel=0.01)
    np.testing.assert_allclose(found.watt, trace().watt[: len(found.watt)], rtol=1e-6)


def test_stop_before_start():
    with LineMeter() as device, open_meter(device.address) as meter, pytest.raises(UserError, match=r"call start\(\)"):
        meter.stop()


def test_a_driver_that_breaks_is_told_and_ends():
    class Broken(Meter):
        name = "broken"

        def _sample(self, collector, deadline):
            raise ZeroDivisionError("division by zero")

    threads = threading.active_count()
    with Broken() as meter, pytest.raises(UserError, match="broken: ZeroDivisionError division by zero"):
        meter.start()
    assert threading.active_count() == threads


# ------------------------------------------------------------------------------------------------------------- commands
def test_record_writes_a_trace(tmp_path, capsys):
    path = tmp_path / "t.csv"
    with LineMeter() as device:
        assert main(["record", device.address, "--seconds", "0.2", "--csv", str(path)]) == 0
    out = capsys.readouterr().out
    assert "samples, 400 a second" in out and "mean 2.5" in out
    assert len(read_csv(path).time_s) > 40


def test_record_into_a_folder_that_is_not_there_is_refused_before_it_samples(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "open_meter", lambda _: pytest.fail("nothing is to be recorded"))
    assert main(["record", "serial:x", "--csv", str(tmp_path / "no" / "t.csv")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("kept")
    assert main(["record", f"replay:{tmp_path / 't.csv'}", "--csv", str(tmp_path / "t.csv")]) == 2
    assert "would be written over" in capsys.readouterr().err and (tmp_path / "t.csv").read_text() == "kept"


def test_what_was_recorded_before_the_meter_went_is_kept(tmp_path, capsys):
    path = tmp_path / "t.csv"

    def unplug_later(index, line):
        if index > 400:  # a second
            raise Unplug
        return line

    with LineMeter(fault=unplug_later) as device:
        assert main(["record", device.address, "--seconds", "5", "--csv", str(path)]) == 2
    out, err = capsys.readouterr()
    assert "samples, 400 a second" in out and err.count("\n") == 1 and len(read_csv(path).time_s) > 5


@pytest.mark.parametrize(
    "argv",
    [
        ["record", "serial:x", "--seconds", "0"],
        ["record", "serial:x", "--seconds", "nan"],
        ["calibrate", "serial:x", "-o", "c.json", "--seconds", "-1"],
        ["calibrate", "serial:x", "-o", "c.json", "--multimeter-percent", "0"],
        ["calibrate", "serial:x", "-o", "c.json", "--multimeter-percent", "51"],
    ],
)
def test_numbers_out_of_range(capsys, argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "expected a number above 0" in err and err.count("\n") == 1


def test_calibrate_asks_for_loads(tmp_path, monkeypatch, capsys):
    current = {"watt": 2.4}
    typed = iter([("12 0.2", 2.4), ("12 0.5", 6.0), ("12 1.0", 12.0), ("", 0)])

    def answer(_):
        text, current["watt"] = next(typed)
        time.sleep(0.15)  # what was sent before lies in the terminal
        return text

    monkeypatch.setattr(builtins, "input", answer)
    with LineMeter(watt=lambda _: current["watt"] / 1.02) as device:
        argv = ["calibrate", device.address, "-o", str(tmp_path / "c.json"), "--seconds", "0.1"]
        assert main(argv) == 0
    assert read_calibration(tmp_path / "c.json").ampere_gain == pytest.approx(1.02, rel=2e-3)
    assert "uncertainty 0.71% of the power" in capsys.readouterr().out


def calibrate(tmp_path, monkeypatch, lines):
    """The exit code of a calibration in which `lines` (text, watt or what is raised) are typed."""
    current, typed = {"watt": 2.4}, iter(lines)

    def answer(_):
        text, then = next(typed)
        if isinstance(then, type):
            raise then
        current["watt"] = then
        time.sleep(0.15)  # what was sent before lies in the terminal
        return text

    monkeypatch.setattr(builtins, "input", answer)
    with LineMeter(watt=lambda _: current["watt"] / 1.02) as device:
        return main(["calibrate", device.address, "-o", str(tmp_path / "c.json"), "--seconds", "0.1"])


LOADS = [("12 0.2", 2.4), ("12 0.5", 6.0), ("12 1.0", 12.0)]


@pytest.mark.parametrize("text", ["12", "12 x", "1 2 3", "nan 1", "-12 0.2"])
def test_a_typing_mistake_costs_nothing(tmp_path, monkeypatch, capsys, text):
    assert calibrate(tmp_path, monkeypatch, [*LOADS[:2], (text, 6.0), *LOADS[2:], ("", 0)]) == 0
    assert read_calibration(tmp_path / "c.json").points == 3
    err = capsys.readouterr().err
    assert f"meters: {text!r} is not two numbers" in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, EOFError])
def test_a_calibration_that_is_broken_off_goes_on(tmp_path, monkeypatch, capsys, end):
    assert calibrate(tmp_path, monkeypatch, [*LOADS[:2], ("", end)]) == 2
    kept = tmp_path / "c.json.loads"
    assert f"the loads so far are kept in {kept}" in capsys.readouterr().err
    pairs = [list(map(float, line.split())) for line in kept.read_text().splitlines()]
    assert [pair[2:] for pair in pairs] == [[12, 0.2], [12, 0.5]] and not (tmp_path / "c.json").exists()
    assert calibrate(tmp_path, monkeypatch, [LOADS[2], ("", 0)]) == 0
    assert read_calibration(tmp_path / "c.json").ampere_gain == pytest.approx(1.02, rel=5e-3)
    assert f"Going on with 2 loads of {kept}" in capsys.readouterr().out and not kept.exists()


def test_loads_that_are_damaged_are_not_lost(tmp_path, monkeypatch, capsys):
    (tmp_path / "c.json.loads").write_text("12 0.2 12\n")
    assert calibrate(tmp_path, monkeypatch, []) == 2
    assert "expected four numbers a line: mend it, or delete it" in capsys.readouterr().err
    assert (tmp_path / "c.json.loads").read_text() == "12 0.2 12\n"


def test_where_a_calibration_cannot_go_nothing_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builtins, "input", lambda _: pytest.fail("asked for what would be lost"))
    assert main(["calibrate", "serial:x", "-o", str(tmp_path / "no" / "c.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
