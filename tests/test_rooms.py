"""The listing of a folder is the map: short enough to read, and no file stands where its name means another package."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST = 22  # entries of a folder, subfolders among them
ROOMS = ("hls", "data", "export", "host", "bitstreams", "bench")
MIRRORED = ("hls", "host", "bitstreams", "export")
LIBRARIES = {"onnx", "serial", "pynq", "torch", "numpy", "rpyc", "pyvisa", "tqdm", "matplotlib", "hls4ml",
             "keras"}  # fmt: skip


def tracked():
    """The files of the working tree that belong to the project."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone")
    return [PurePosixPath(name) for name in found if (ROOT / name).exists()]


def test_a_folder_has_few_entries():
    entries = defaultdict(set)
    for path in tracked():
        for folder in path.parents[:-1]:
            entries[folder].add(path.relative_to(folder).parts[0])
    held = {folder: len(names) for folder, names in entries.items() if {*ROOMS} & {*folder.parts[:2]}}
    assert len(held) > 20 and not {str(folder): count for folder, count in held.items() if count > MOST}


def test_no_module_is_called_like_a_package_that_it_uses():
    taken = LIBRARIES | set(sys.stdlib_module_names)
    scripts = [path for path in tracked() if path.suffix == ".py" and path.parts[0] == "host" and len(path.parts) == 2]
    assert scripts and not [str(path) for path in scripts if path.stem in taken]
    deeper = [path for path in tracked() if path.suffix == ".py" and path.parts[0] in ROOMS]
    assert not [str(path) for path in deeper if path.stem in LIBRARIES]


@pytest.mark.parametrize("folder", MIRRORED)
def test_tests_stand_in_rooms_that_there_are(folder):
    """tests/host/energy tests host/energy; a folder of data or stand-ins has no test_*.py."""
    found = {path.parent for path in tracked() if path.parts[:2] == ("tests", folder) and path.name.startswith("test_")}
    assert found and all((ROOT / Path(*room.parts[1:])).is_dir() for room in found)


def test_only_scripts_add_the_root_to_the_path():
    adding = {str(path) for path in tracked() if path.suffix == ".py" and path.parts[0] in (*ROOMS, "training")
              and "sys.path" in (ROOT / path).read_text(encoding="utf-8")}  # fmt: skip
    assert adding == {f"host/{name}.py" for name in ("run", "sweep", "doctor", "deploy", "server")}
