"""The choice among the places to run that this machine has.

    with choose("auto", threads=2, warn=print) as backend:
        records = backend.run(package, images, start)   # (N, words) int32

`auto` takes the best one.
"""

from host.backend import BackendMissing
from host.simulation import Cosim, Golden


def choose(name, threads, warn):
    """An open backend. `auto` takes the first of AUTO that this machine has, and says by `warn` what it did without.

    BackendError when the one asked for cannot be had.
    """
    backends = {backend.name: backend for backend in (Cosim, Golden)}
    if name != "auto":
        return backends[name](threads)
    for candidate in AUTO[:-1]:
        try:
            return backends[candidate](threads)
        except BackendMissing as error:
            warn(f"{error}; going on with {backends[AUTO[-1]].title}")
    return backends[AUTO[-1]](threads)


AUTO = ("cosim", "golden")  # in order of preference; a board goes in front
NAMES = ("auto", *AUTO)
