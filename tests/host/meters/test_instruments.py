"""Instruments of other makers: replies that end as they like, the network, a Joulescope, files of their programs."""

import importlib
import importlib.util
import inspect
import sys
import time

import numpy as np
import pytest

from bench.standin import joulescope
from bench.standin.meter import LanMeter, ScpiMeter
from hls.errors import UserError
from host.meters import serial_line
from host.meters.__main__ import main
from host.meters.open import open_meter
from host.meters.recorded import MOST_HZ, read_csv


def sampled(address, seconds=0.2):
    with open_meter(address) as meter:
        meter.start()
        time.sleep(seconds)
        return meter.stop()


# ------------------------------------------------------------------------------------------------------- SCPI's replies
@pytest.mark.parametrize(
    ("end", "option"),
    [(b"\n", "lf"), (b"\r", "cr"), (b"\r\n", "crlf"), (b"\r\n", "lf"), (b"\0", "nul"), (b"\0\n", "lf"), (b"", "none")],
)
def test_a_reply_may_end_as_it_likes(end, option):
    with ScpiMeter(end=end) as device:
        found = sampled(f"{device.address}&end={option}", 0.4)
    assert found.watt[0] == pytest.approx(12.001 * 0.21408) and len(found.watt) >= 2


@pytest.mark.parametrize(
    ("volt", "ampere"), [(b"12.001 V", b"214.08 mA"), (b"+1.2001E+01V", b"0.21408A"), (b"12001mV", b".21408")]
)
def test_a_reply_may_have_its_unit(volt, ampere):
    with ScpiMeter({b"MEAS:VOLT?": volt, b"MEAS:CURR?": ampere}) as device:
        assert sampled(device.address).watt[0] == pytest.approx(12.001 * 0.21408)


def test_without_an_end_the_remedy_is_named():
    with ScpiMeter(end=b"") as device, pytest.raises(UserError, match=r"`end` \(lf, …, none\)"):
        open_meter(device.address)


def test_an_instrument_on_the_network():
    with LanMeter() as device:
        assert "TCPIP::127.0.0.1" in device.address
        assert sampled(device.address).watt[0] == pytest.approx(12.001 * 0.21408)
    with LanMeter(end=b"") as device:
        assert sampled(f"{device.address}&end=none", 0.5).volt[0] == 12.001


def test_a_slow_instrument_is_read(capsys):
    """Two samples a second."""
    with ScpiMeter(slow_s=0.25, wait_s=2) as device:
        assert main(["record", device.address, "--seconds", "1.3"]) == 0
    assert "a second" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------- Joulescope
@pytest.fixture
def js220(monkeypatch):
    """A function: options → an instrument that the driver finds."""

    def made(**options):
        instrument = joulescope.Instrument(**options)
        monkeypatch.setitem(sys.modules, "pyjoulescope_driver", joulescope.module(instrument))
        return instrument

    return made


def test_a_joulescope_is_read_by_its_own_clock(js220):
    instrument = js220(watt=lambda time_s: 2.5)
    trace = sampled("joulescope:?rate=100", 0.5)
    assert trace.period_s == pytest.approx(0.01) and trace.watt.mean() == pytest.approx(2.5)
    assert trace.device_s is not None and trace.device_s[0] % 0.01 == pytest.approx(0.005)  # the middle of its mean
    assert instrument.told == {"i/range/mode": "auto", "stats/scnt": 10_000, "stats/ctrl": 0}
    assert not instrument.opened and instrument._thread is None


def test_one_of_several_is_chosen_by_its_label(js220):
    instrument = js220(paths=["u/js220/000123", "u/js220/000124", "u/js110/000125"])
    with open_meter("joulescope:000124") as meter:
        assert meter.name == "joulescope 000124" and instrument.opened == ["u/js220/000124"]
    with pytest.raises(UserError, match=r"found here: 000123, 000124, expected one: give one"):
        open_meter("joulescope:")


@pytest.mark.parametrize(
    ("options", "address", "expected"),
    [
        ({"paths": []}, "joulescope:", "found here: none, expected one: plug it in"),
        ({}, "joulescope:000999", "found here: 000123, expected one"),
        ({"busy": True}, "joulescope:", "cannot be opened .*close other programs"),
        ({}, "joulescope:?rate=5000", "option rate is 5000, expected 1 to 1000"),
        ({}, "joulescope:?speed=2", "unknown option 'speed'"),
    ],
)
def test_a_joulescope_that_cannot_be_had(js220, options, address, expected):
    instrument = js220(**options)
    with pytest.raises(UserError, match=expected):
        open_meter(address)
    assert not instrument.opened


def test_a_joulescope_that_falls_silent(js220):
    js220(fault=lambda index, value: value if index < 20 else None)
    with open_meter("joulescope:?wait=0.3") as meter:
        meter.start()
        with pytest.raises(UserError, match=r"no sample for 0\.3 s"):
            for _ in range(40):
                time.sleep(0.05)
                meter.check()


def test_means_of_another_kind(js220):
    js220(fault=lambda index, value: {"signals": {}})
    with pytest.raises(UserError, match="something else than means"):
        sampled("joulescope:")


def test_the_stand_in_has_the_drivers_calls():
    """Where the maker's driver is installed."""
    if importlib.util.find_spec("pyjoulescope_driver") is None:
        pytest.skip("pyjoulescope_driver is not installed: requirements/joulescope.txt")
    driver = importlib.import_module("pyjoulescope_driver").Driver
    mine = joulescope.module(joulescope.Instrument()).Driver
    for name in (name for name in vars(mine) if not name.startswith("_")):
        theirs = getattr(driver, name)
        try:
            known = list(inspect.signature(theirs).parameters)
        except ValueError:
            continue  # a build without signatures
        assert list(inspect.signature(getattr(mine, name)).parameters) == known


# ---------------------------------------------------------------------------------------------------- files of programs
TIMES, AMPERES = np.arange(40) / 100, 0.2 + 0.001 * (np.arange(40) % 3)


def rows(form, separator=",", comma=False, header=""):
    """A file of TIMES and AMPERES at 12 V: `form` makes the cells of a row."""
    lines = [separator.join(form(time_s, ampere)) for time_s, ampere in zip(TIMES, AMPERES)]
    text = "\n".join(lines) + "\n"
    return header + "\n" + (text.replace(".", ",") if comma else text)


def ppk2(time_s, ampere):
    return f"{1e3 * time_s:.2f}", f"{1e6 * ampere:.3f}", "00000000"


def joulescope_ui(time_s, ampere):
    return f"{time_s:.3f}", f"{ampere:.9g}", "12.0", f"{12 * ampere:.9g}", "0.1", "1.2"


def plain(time_s, ampere):
    return f"{time_s:.4f}", f"{ampere:.6f}", "12.000"


FILES = {
    "PPK2": (rows(ppk2, header="Timestamp(ms),Current(uA),D0-D7").encode(), 12.0),
    "PPK2 with a mark": (b"\xef\xbb\xbf" + rows(ppk2, header="Timestamp(ms),Current(uA),D0-D7").encode(), 12.0),
    "Joulescope": (rows(joulescope_ui, header="#time,current,voltage,power,charge,energy").encode(), None),
    "Otii": (rows(plain, header="Timestamp,Main current (A),Main voltage (V)").encode(), None),
    "Otii in Sweden": (
        rows(plain, ";", comma=True, header="Timestamp;Main current (A);Main voltage (V)").encode("utf-8-sig"),
        None,
    ),
    "quoted": (
        rows(lambda *row: tuple(f'"{cell}"' for cell in plain(*row)), header='"Time (s)","Current (A)","Volts (V)"')
        .encode(),
        None,
    ),
    "whole numbers before decimal commas": (
        rows(plain, ";", comma=True, header="time (s);current (A);voltage (V)")
        .replace("0,0000;0,200000;12,000", "0;2E-1;12").encode(),
        None,
    ),
    "tabs, UTF-16": (rows(plain, "\t", header="time [s]\tI [A]\tV [V]").encode("utf-16"), None),
    "lines before": (b"Device;XY\nRate;100\n\n" + rows(plain, ";", header="time_s;current_A;voltage_V").encode(), None),
    "an old micro sign": (rows(ppk2, ";", header="time (ms);current (\xb5A);bits").encode("latin-1"), 12.0),
    "dates": (
        rows(
            lambda time_s, ampere: (f"2026-01-02T03:04:05.{round(1e6 * time_s):06d}Z", f"{ampere:.6f}", "12"),
            header="timestamp,current,voltage",
        ).encode(),
        None,
    ),
    "power and voltage": (
        rows(lambda time_s, ampere: (f"{time_s:.3f}", f"{12e3 * ampere:.6f}", "12"), header="t,power_mW,volt").encode(),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_trace_of_another_program_is_read(tmp_path, name):
    data, volt = FILES[name]
    (tmp_path / "t.csv").write_bytes(data)
    trace = read_csv(tmp_path / "t.csv", volt)
    np.testing.assert_allclose(trace.time_s - trace.time_s[0], TIMES, atol=1e-6)
    np.testing.assert_allclose(trace.ampere, AMPERES, rtol=1e-6)
    np.testing.assert_allclose(trace.watt, 12 * AMPERES, rtol=1e-6)


def test_it_is_played_by_replay(tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(FILES["PPK2"][0])
    assert main(["record", f"replay:{tmp_path / 't.csv'}?volt=12", "--seconds", "0.2"]) == 0
    assert "mean 2.4" in capsys.readouterr().out
    assert main(["record", f"replay:{tmp_path / 't.csv'}", "--seconds", "0.2"]) == 2
    assert "no column of voltage: give the supply's, replay:t.csv?volt=12" in capsys.readouterr().err


def test_many_samples_are_averaged_and_keep_their_energy(tmp_path):
    """A PPK2's 100,000 a second."""
    times = np.arange(100_000) / 100_000
    microampere = 2e5 + 1e5 * ((times * 1000).astype(int) % 3 == 0)
    lines = (f"{1e3 * at:.2f},{value:.1f}" for at, value in zip(times, microampere))
    (tmp_path / "t.csv").write_text("Timestamp(ms),Current(uA)\n" + "\n".join(lines))
    trace = read_csv(tmp_path / "t.csv", 5.0)
    assert 1 / trace.period_s == pytest.approx(MOST_HZ, rel=0.01)
    assert trace.watt.mean() == pytest.approx(5e-6 * microampere.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time,power\n1,2\n", "expected columns of time, current and voltage"),
        ("a,b,c\n1,2,3\n", "expected columns of time, current and voltage"),
        ("time,current,voltage\n1,2,3\n2,x,3\n", "line 3 is not numbers in its columns"),
        ("time,current,voltage\n1,2,3\n2,3\n", "line 3 is not numbers in its columns"),
        ('time,current,voltage\n1,"1,234.5",3\n2,"1,235.5",3\n', "line 2 is not numbers in its columns .*'1,234.5'"),
        ("time,current,voltage\n0,001,0,5,12\n0,002,0,5,12\n", "line 2 is not numbers .*5 values in 3 columns"),
        ("time,current,voltage\n1,2,3\n", "has 1 samples, expected 2 or more"),
        ("time,current,voltage\n2,2,3\n1,2,3\n", "sample 2 is earlier than the one before"),
        ("time,current,voltage\n1,2,3\n1,2,3\n", "all samples are at one time"),
        ("time,current,voltage\n1,nan,3\n2,1,3\n", "no finite numbers"),
        ("\0\1\2\xff", "expected columns|cannot be read"),
    ],
)
def test_what_is_no_trace(tmp_path, text, expected):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=expected) as error:
        read_csv(tmp_path / "t.csv")
    assert "\n" not in str(error.value)


# --------------------------------------------------------------------------------------------------------------- hints
def test_a_program_for_braille_is_named(monkeypatch):
    monkeypatch.setattr(serial_line.shutil, "which", lambda name, path: f"/usr/bin/{name}")
    assert "apt-get remove brltty" in serial_line._why(FileNotFoundError(2, "No such file or directory"))
    monkeypatch.setattr(serial_line.shutil, "which", lambda name, path: None)
    assert "brltty" not in serial_line._why(FileNotFoundError(2, "No such file or directory"))
