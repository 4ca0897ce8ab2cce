"""The meter's firmware, compiled for this machine against a stand-in of Arduino and sensor, and read by the host."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hls.errors import UserError
from host.meters.protocol import Lines
from host.meters.trace import Collector

SKETCH = Path(__file__).resolve().parents[3] / "docs" / "firmware" / "ddi_meter" / "ddi_meter.ino"
pytestmark = pytest.mark.cosim

# Time passes by 50 us at each look at it; a conversion is ready every 4.7 ms; registers are those of the data sheets.
ARDUINO = r"""
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
struct World { uint32_t now_us; uint32_t next_us; int shunt; int bus; bool answers; uint8_t reg; int byte; };
static World world = {START_US, START_US, SHUNT, BUS, ANSWERS, 0, 0};
static uint32_t micros() { return world.now_us += 50; }
static struct {
  void begin(long) {}
  void print(const char *text) { fputs(text, stdout); }
  void write(const uint8_t *data, size_t size) { fwrite(data, 1, size, stdout); }
} Serial;
static struct {
  int count = 0;
  void begin() {}
  void setClock(long) {}
  void beginTransmission(uint8_t) { count = 0; }
  void write(uint8_t value) { if (count++ == 0) world.reg = value; }
  int endTransmission() { return world.answers ? 0 : 2; }
  int requestFrom(uint8_t, uint8_t size) { world.byte = 0; return world.answers ? size : 0; }
  bool Ready() { return (int32_t)(world.now_us - world.next_us) >= 0; }
  int Value() {
#ifdef SENSOR_INA219
    if (world.reg == 2) return world.bus << 3 | (Ready() ? 2 : 0);
    if (world.reg == 3) world.next_us = world.now_us + 4700;
#else
    if (world.reg == 2) return world.bus;
    if (world.reg == 6 && Ready()) {
      world.next_us = world.now_us + 4700;
      return 8;
    }
#endif
    return world.reg == 1 ? world.shunt & 0xFFFF : 0;
  }
  int latched = 0;
  int read() { if (world.byte++ == 0) { latched = Value(); return latched >> 8 & 255; } return latched & 255; }
} Wire;
#include "sketch.inc"
int main() { setup(); for (int i = 0; i < 20000; ++i) loop(); }
"""


def printed(folder, shunt=856, bus=9600, start_us=0, answers="true", sensor="INA226"):
    """What the firmware sends in about a second."""
    compiler = shutil.which("g++") or pytest.skip("needs g++")
    (folder / "Wire.h").write_text("")
    (folder / "sketch.inc").write_text(SKETCH.read_text())
    (folder / "main.cpp").write_text(ARDUINO)
    values = {"SHUNT": shunt, "BUS": bus, "START_US": f"{start_us}u", "ANSWERS": answers, f"SENSOR_{sensor}": 1}
    defines = [f"-D{name}={value}" for name, value in values.items()]
    command = [compiler, "-std=c++14", "-Wall", "-Wextra", "-Werror", "-I", str(folder), *defines]
    subprocess.run([*command, str(folder / "main.cpp"), "-o", str(folder / "meter")], check=True, timeout=60)
    return subprocess.run([str(folder / "meter")], capture_output=True, check=True, timeout=60).stdout


def read(data):
    """The Collector of what was sent, at one host time that lets the meter's clock run."""
    collector = Collector()
    lines = data.splitlines(keepends=True)
    reader = Lines("m", collector)
    for index, line in enumerate(lines):
        reader.feed(line, 0.0047 * index)
    return collector


@pytest.mark.parametrize(
    ("sensor", "shunt", "bus", "volt", "ampere"),
    [
        ("INA226", 856, 9600, 12.0, 0.214),  # 2.14 mV on 10 mOhm
        ("INA226", -3, 9500, 11.875, -0.00075),
        ("INA226", 12000, 9600, 12.0, 3.0),
        ("INA219", 214, 3000, 12.0, 0.214),
        ("INA219", -1, 2999, 11.996, -0.001),
    ],
)
def test_what_the_firmware_sends_is_what_the_sensor_sees(tmp_path, sensor, shunt, bus, volt, ampere):
    data = printed(tmp_path, shunt, bus, sensor=sensor)
    assert data.startswith(f"# ddi-meter 1 {sensor.lower()}\n# boot reset\n".encode())
    assert data.count(b"# ddi-meter") >= 2  # once a second
    found = read(data)
    assert len(found) > 100 and found.bad == found.dropped == 0
    assert found.latest()[1:] == pytest.approx((volt, ampere))


def test_its_clock_wraps_around(tmp_path):
    found = read(printed(tmp_path, start_us=2**32 - 300_000))
    assert len(found) > 100 and found.bad == found.dropped == 0


@pytest.mark.parametrize(("change", "expected"), [({"shunt": 32767}, "saturated"), ({"answers": "false"}, "no answer")])
def test_what_it_reports(tmp_path, change, expected):
    with pytest.raises(UserError, match=expected):
        read(printed(tmp_path, **change))
