"""Two weights share one DSP, three DSPs add up: packed and plain arithmetic agree in every case, within every port.

pytest --cosim tests/hls/src/test_packing.py
"""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls import cosim, isa

PROOF = Path(__file__).with_name("packing_proof.cpp")
PORTS = {"pair_bits": 25, "pixel_bits": 18, "low_bits": 18, "sum_bits": 48}  # of a DSP48E1; low: 2^17 and a sign
SHIFT = 17
WEIGHTS, PIXELS = st.integers(-127, 127), st.integers(-128, 255)


def prove(folder, *flags):
    """Build the proof and run it: (exit code, what it prints)."""
    program = folder / "proof"
    command = [cosim.compiler(), "-std=c++14", "-O2", *cosim.WARNINGS, *flags, f"-I{cosim.SOURCES}", str(PROOF)]
    subprocess.run([*command, "-o", str(program)], check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout.strip()


@pytest.mark.cosim
@pytest.mark.parametrize("flags", [(), ("-D__SYNTHESIS__",)])
def test_packed_and_plain_arithmetic_agree_in_every_case(tmp_path, flags):
    code, line = prove(tmp_path, *flags)
    assert code == 0, line
    figures = {name: int(value) for name, value in (item.split("=") for item in line.split())}
    largest = isa.ROW_TAPS * 127 * 255
    assert figures.pop("weights") == 256
    assert figures.pop("pairs") == 255 * 255 * (128 + 255 + 1)
    assert figures.pop("sums") == (2 * largest + 1) * 3 * 8
    assert figures.pop("parity") == 2 ** (6 * isa.ROW_TAPS) * 6
    assert figures.pop("taps") == (5 * 5 * 6) ** isa.ROW_TAPS + 20_000_000
    # 127 · 2^17 + 127 < 2^24; 97155 · 2^17 + 97155 < 2^34
    assert figures == {"pair_bits": 25, "pixel_bits": 9, "low_bits": 18, "sum_bits": 35}
    assert all(bits <= PORTS[name] for name, bits in figures.items())


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("flag", "first"),
    [
        # 256 needs a tenth bit
        ("-DDDI_LAST_PIXEL=256", "differs: pair (-127, -127) times 256"),
        # -128 · 2^17 - 1 needs a 26th bit: the pre-adder's 25 are why -128 counts as -127
        ("-DDDI_FIRST_WEIGHT=-128", "differs: pair (-128, -128) times -128"),
        # L = 2^17 looks like 0, with a carry of its own
        ("-DDDI_LAST_LOW=131072", "differs: sums (-97155, 131072) "),
    ],
)
def test_the_proof_fails_beyond_the_ranges(tmp_path, flag, first):
    code, line = prove(tmp_path, flag, "-DDDI_RANDOM_TAPS=1")
    assert code == 1 and line.startswith(first)


@pytest.mark.cosim
def test_the_sums_have_room_up_to_the_seventeenth_bit(tmp_path):
    code, line = prove(tmp_path, "-DDDI_LAST_LOW=131071", "-DDDI_RANDOM_TAPS=1")
    assert code == 0, line


@given(st.lists(st.tuples(WEIGHTS, WEIGHTS, PIXELS), min_size=isa.ROW_TAPS, max_size=isa.ROW_TAPS))
def test_what_the_header_says_of_packed_sums(taps):
    """The same arithmetic in numbers without a width: the parity of H tells whether L has borrowed from it."""
    total = sum(((high << SHIFT) + low) * pixel for high, low, pixel in taps)
    odd = sum(high & pixel & 1 for high, _, pixel in taps) % 2
    carry = (total >> SHIFT ^ odd) & 1
    assert (total >> SHIFT) + carry == sum(high * pixel for high, _, pixel in taps)
    assert total % (1 << SHIFT) - (carry << SHIFT) == sum(low * pixel for _, low, pixel in taps)
