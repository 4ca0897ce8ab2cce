"""The rows of FC and LSTM multiply two bits of a weight at a time: every product is the plain one.

pytest --cosim tests/hls/src/test_rows.py
"""

import subprocess
from pathlib import Path

import pytest

from hls import cosim

PROOF = Path(__file__).with_name("rows_proof.cpp")


@pytest.mark.cosim
def test_every_product_is_the_plain_one(tmp_path):
    program = tmp_path / "proof"
    flags = ["-std=c++14", "-O2", "-DDDI_CHIP", "-DDDI_TRAP", f"-I{cosim.SOURCES}"]
    command = [cosim.compiler(), *cosim.WARNINGS, *flags, str(PROOF), "-o", str(program)]
    subprocess.run(command, check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, f"products={2**24}")
