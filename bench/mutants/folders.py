"""What is mutated, and the tests that must notice: those of the same rooms, in one process.

Left out is what takes torchrun: three processes and ten seconds a test.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Folder:
    """A package of the tree: files to mutate (patterns of paths), tests to run, and tests to leave out."""

    name: str
    mutated: tuple
    tests: tuple
    without: tuple = ()


FOLDERS = (
    Folder(
        "hls",
        ("hls/cost.py", "hls/schedule.py", "hls/golden/*"),
        ("tests/hls/test_cost.py", "tests/hls/test_plans.py", "tests/hls/golden", "tests/hls/test_pool.py",
         "tests/hls/test_conformance.py", "tests/hls/test_layers.py", "tests/hls/test_record.py"),
    ),
    Folder("host", ("host/budgets/*",), ("tests/host/budgets", "tests/host/test_pooled_runs.py")),
    Folder(
        "training",
        ("training/*",),
        ("tests/training",),
        ("tests/training/large/test_processes.py",),
    ),
    Folder("export", ("export/*",), ("tests/export",)),
)  # fmt: skip
