"""Options and fixtures of the whole suite: `pytest` needs no compiler, `pytest --cosim` adds the C++ engine."""

import os
import signal
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["OMP_NUM_THREADS"] = "1"  # PyTorch's, here and in what a test starts: the same bits on any number of cores

import pytest
from hypothesis import settings

# A suite that was started in the background ignores these, and so would all that its tests start and end by them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


def pytest_addoption(parser):
    """--cosim: also run what needs a C++ compiler."""
    parser.addoption("--cosim", action="store_true", help="also run the tests that build and call the C++ engine")


def pytest_runtest_setup():
    """A command that a test called may have left PyTorch with more threads."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def pytest_collection_modifyitems(config, items):
    """Skip what needs the engine, with the reason, unless --cosim is given."""
    if config.getoption("--cosim"):
        return
    skip = pytest.mark.skip(reason="needs the C++ engine and a compiler: run pytest --cosim")
    for item in items:
        if "cosim" in item.keywords:
            item.add_marker(skip)
