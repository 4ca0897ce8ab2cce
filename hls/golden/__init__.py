"""The golden model: what every implementation of the instruction set does, in plain Python and numpy.

records = run(program, weights, tables, images, start)      # hls/golden/model.py; arithmetic on maps: maps.py
"""

from hls.golden.maps import requantize
from hls.golden.model import Engine, run

__all__ = ["Engine", "requantize", "run"]
