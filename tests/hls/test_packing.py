"""Two weights share one DSP: packed and plain arithmetic agree in every case, and every port is wide enough.

pytest --cosim tests/hls/test_packing.py
"""

import subprocess

import pytest

from hls import cosim

PROOF = cosim.ROOT / "tests" / "hls" / "packing_proof.cpp"
PORTS = {"packed": 25, "pixel": 18, "low": 16, "product": 48}  # bits of a DSP48E1; 16 is where the high product begins


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
    assert figures.pop("cases") == 256 * 256 * (255 + 128 + 1)
    assert figures == {"packed": 25, "pixel": 9, "low": 16, "product": 32}
    assert all(bits <= PORTS[name] for name, bits in figures.items())


@pytest.mark.cosim
def test_the_proof_fails_beyond_the_range_of_a_pixel(tmp_path):
    """128 · 256 is the last product of 16 bits; from 127 · 259 on the low product reaches into the high one."""
    code, line = prove(tmp_path, "-DDDI_LAST_PIXEL=259")
    assert code == 1 and line.startswith("differs: ")
