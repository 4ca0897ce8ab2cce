"""Where a package runs: one interface, and the choice among what this machine has.

    with choose("auto", threads=2) as backend:
        records = backend.run(package, images, start)   # (N, words) int32

A backend is made ready (built, opened, checked) when it is constructed, so that a run is timed without that.
"""


class BackendError(Exception):
    """A backend that fails; the message is one line that says what to do."""


class BackendMissing(BackendError):
    """A backend that this machine does not have: `auto` goes on to the next one."""


class Backend:
    """One place to run. `name` is what --backend takes, `title` is for people, `version` goes into the report."""

    name = ""
    title = ""
    version = ""
    threads = 1

    def run(self, package, images, start):
        """Records (N, words) int32 of uint8 images (N, height, width, channels). BackendError when it fails."""
        raise NotImplementedError

    def close(self):
        """Give back what the backend holds."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def choose(name, threads, warn):
    """An open backend. `auto` takes the first of AUTO that this machine has, and says by `warn` what it did without.

    BackendError when the one asked for cannot be had.
    """
    from host.simulation import Cosim, Golden

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
