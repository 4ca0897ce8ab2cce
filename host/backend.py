"""Where a package runs: the one interface that a co-simulation, a board or a board elsewhere has.

A backend is made ready (built, opened, checked) when it is constructed, so that a run is timed without that.
"""

from hls.errors import UserError


class BackendMissing(UserError):
    """A backend that this machine does not have: `auto` goes on to the next one."""


class Backend:
    """One place to run. `name` is what --backend takes, `title` is for people, `version` goes into the report."""

    name = ""
    title = ""
    version = ""
    threads = 1

    def run(self, package, images, start):
        """Records (N, words) int32 of uint8 images (N, height, width, channels). UserError when it fails."""
        raise NotImplementedError

    def close(self):
        """Give back what the backend holds."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
