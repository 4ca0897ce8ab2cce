"""Backends that need no board: the C++ engine compiled for this machine, and the golden model in numpy.

Both give the engine's records bit for bit; the cycles in them are those of the modelled schedule (docs/engine.md).
"""

from hls import isa
from hls.errors import UserError
from host.backend import Backend, BackendMissing


class Cosim(Backend):
    """The engine's C++ source, built with g++ on first use."""

    name = "cosim"
    title = "C++ co-simulation"
    version = f"contract {isa.HASH}"

    def __init__(self, threads=1):
        from hls import cosim

        self.threads, self._cosim = threads, cosim
        try:
            cosim.compiler()
        except cosim.CosimError as error:
            raise BackendMissing(str(error)) from None
        try:
            cosim.build()
            cosim.state_bytes()
        except (cosim.CosimError, OSError) as error:
            raise UserError(f"the C++ engine cannot be built ({_line(error)}): or give --backend golden") from None

    def run(self, package, images, start):
        """Records of the images, shared out over `threads` engines."""
        arrays = package.program, package.weights, package.tables
        try:
            return self._cosim.run(*arrays, images, start, threads=min(self.threads, len(images)))
        except self._cosim.CosimError as error:
            raise UserError(_line(error)) from None


class Golden(Backend):
    """The reference model: numpy alone, one thread."""

    name = "golden"
    title = "the golden model in numpy (slower)"
    version = f"contract {isa.HASH}"

    def __init__(self, threads=1):
        from hls import golden

        self._golden = golden

    def run(self, package, images, start):
        """Records of the images, one after the other."""
        try:
            return self._golden.run(package.program, package.weights, package.tables, images, start)
        except ValueError as error:
            raise UserError(_line(error)) from None


def _line(error):
    return " ".join(str(error).split())
