"""A bus that keeps the chip's loops waiting: the same records, in more cycles.

pytest --cosim tests/hls/stress/test_bus.py
"""

import numpy as np
import pytest

from hls import cosim, isa
from hls.stress import trips
from hls.stress.random_programs import random_program
from tests.hls.extremes import EXTREMES

CHIP = ("-DDDI_CHIP=1",)
MAPS = "RunMaps::MapCycles"
PLANNED = {loop["name"] for loop in isa.LOOPS}


@pytest.mark.cosim
@pytest.mark.parametrize("bus", [(1, 1), (20, 80), (3, 300)])
def test_latencies_change_no_record(bus):
    cases = [random_program(np.random.default_rng(seed)) for seed in range(30)] + [extreme() for extreme in EXTREMES]
    waited = 0
    for case in cases:
        prompt, late = (trips.run(*case, flags=CHIP, bus=bus) for bus in ((0, 0), bus))
        assert np.array_equal(late[0], prompt[0]) and np.array_equal(late[0], cosim.run(*case))
        assert all(late[1][name] == prompt[1][name] for name in PLANNED if name != MAPS)
        waited += late[1][MAPS] - prompt[1][MAPS]
    assert waited > 0


@pytest.mark.cosim
@pytest.mark.parametrize("bus", [(-1, 3), (4, 3)])
def test_a_bus_that_cannot_be_is_refused(bus):
    with pytest.raises(cosim.CosimError, match="two rising numbers"):
        cosim.run(*random_program(np.random.default_rng(0)), bus=bus)
