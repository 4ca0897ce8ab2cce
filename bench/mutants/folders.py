"""What is mutated, and the tests that must notice: those of the same rooms, in one process and without their compiler.

Left out are tests that start commands in processes of their own, which cost a second each for what others test in
place, and the guest that hls4ml is.
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
        ("tests/training/large/test_processes.py", "tests/training/sweep"),
    ),
    Folder(
        "export",
        ("export/*",),
        ("tests/export",),
        ("tests/export/with_hls4ml", "tests/export/onnx_reader/test_command.py"),
    ),
)  # fmt: skip
