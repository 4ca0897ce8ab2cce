"""What host/doctor.py looks at, a function each: it gives a Finding, and raises only where nobody foresaw it.

Only the standard library is imported here at first, so that this runs where numpy is what is missing.
"""

import os
import platform
import shutil
from collections import namedtuple
from pathlib import Path

from hls.command import places
from hls.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
LEAST_PYTHON = (3, 10)
DISK_MB, MEMORY_MB, CMA_MB = 200, 150, 32  # free: for a copy of the project; to run; for the engine's buffers
PYNQ_VENV = "/etc/profile.d/pynq_venv.sh"
Finding = namedtuple("Finding", "name state found remedy", defaults=("",))
OK, NOTE, MISSING = "ok", "note", "MISSING"


# ------------------------------------------------------------------------------------------------------------ programs
def check_python(on_board):
    """The interpreter's version: 3.10 is the least."""
    found = platform.python_version()
    if tuple(map(int, platform.python_version_tuple()[:2])) < LEAST_PYTHON:
        remedy = "use a PYNQ 3.0 or 3.1 image" if on_board else "install Python 3.10 or newer"
        return Finding("python", MISSING, f"{found}, expected {'.'.join(map(str, LEAST_PYTHON))} or newer", remedy)
    return Finding("python", OK, found)


def check_numpy(on_board):
    """numpy; on a board version 1, which pynq needs."""
    try:
        import numpy
    except ImportError:
        remedy = f"source {PYNQ_VENV} (as root)" if on_board else "pip install -r requirements/run.txt, or make run"
        return Finding("numpy", MISSING, "not there", remedy)
    if on_board and int(numpy.__version__.split(".")[0]) >= 2:
        remedy = "pip install 'numpy<2', or use the image's own"
        return Finding("numpy", MISSING, f"{numpy.__version__}, pynq needs 1.x", remedy)
    return Finding("numpy", OK, numpy.__version__)


def check_compiler(on_board):
    """A C++ compiler for the co-simulation; a board does without."""
    name = os.environ.get("CXX") or "g++"
    path = shutil.which(name)
    if path:
        return Finding("C++ compiler", OK, path)
    remedy = "apt-get install g++; without it --backend golden runs, slowly"
    return Finding("C++ compiler", NOTE if on_board else MISSING, f"no {name}: no co-simulation here", remedy)


def check_pynq(on_board):
    """The pynq library, and that it sees a device."""
    from host.board.machine import module

    try:
        pynq = module()
    except UserError as error:
        return Finding("pynq", MISSING, str(error), f"sudo -i, then source {PYNQ_VENV}; docs/board.md has the image")
    version = getattr(pynq, "__version__", "of unknown version")
    if version.startswith("4"):
        return Finding("pynq", MISSING, f"{version}, which dropped Zynq-7000", "use a PYNQ 3.0 or 3.1 image")
    return Finding("pynq", OK, version)


def check_remote(on_board):
    """RPyC, and on a laptop ssh, for driving a board over the network."""
    try:
        import rpyc
    except ImportError:
        remedy = "pip install -r requirements/remote.txt (on a board: pip install --no-deps)"
        return Finding("remote", NOTE, "no RPyC: no boards over the network", remedy)
    version = ".".join(map(str, rpyc.version.version))
    if not on_board and not shutil.which("ssh"):
        return Finding("remote", NOTE, f"RPyC {version}, but no ssh", "apt-get install openssh-client")
    return Finding("remote", OK, f"RPyC {version}")


# --------------------------------------------------------------------------------------------------------------- files
def check_packages(on_board):
    """Every package in packages/ loads, so is for this contract."""
    from hls import isa
    from hls.package import PackageError, read

    paths = sorted((places.ENGINE / "packages").glob("*.npz"))
    if not paths:
        return Finding("packages", MISSING, "none in packages/", "copy the repository whole, or python -m export")
    for path in paths:
        try:
            read(path)
        except PackageError as error:
            return Finding("packages", MISSING, str(error), "get the packages of this version")
    names = ", ".join(path.stem for path in paths)
    return Finding("packages", OK, f"{names}, contract {isa.HASH}")


def check_engine(on_board):
    """The engine's source is of the same contract as the Python code."""
    from hls import isa

    header = places.ENGINE / "hls" / "src" / "isa.hpp"
    if not header.exists():
        state = NOTE if on_board else MISSING
        return Finding("engine source", state, f"no {header}: no co-simulation here", "copy the repository whole")
    if isa.HASH not in header.read_text(encoding="utf-8"):
        found = f"{header.name} is not of contract {isa.HASH}"
        return Finding("engine source", MISSING, found, "python -m hls.generate")
    return Finding("engine source", OK, f"contract {isa.HASH}")


def check_build(on_board):
    """A folder that the co-simulation can be built in; a board does without."""
    from hls.cosim import BUILD

    try:
        return Finding("engine build", OK, f"in {places.build(BUILD)}")
    except UserError as error:
        return Finding("engine build", NOTE if on_board else MISSING, str(error), "or --backend golden, which is slow")


def check_bitstream(on_board, board):
    """.bit, .hwh and build.json of one build, for this board and contract."""
    from host.backend import BackendMissing
    from host.board import overlay

    try:
        build = overlay.find(overlay.BITSTREAMS / board, board)
    except BackendMissing as error:
        return Finding("bitstream", MISSING if on_board else NOTE, str(error), "bitstreams/ says how to build one")
    except overlay.OtherPoint as other:
        found, _, remedy = str(other).partition("; ")
        return Finding("bitstream", MISSING if on_board else NOTE, found, remedy)
    except UserError as error:
        return Finding("bitstream", MISSING, str(error), "copy .bit, .hwh and build.json of one build")
    return Finding("bitstream", OK, f"{build.bit.name}, {build.clock_hz / 1e6:g} MHz, commit {build.commit}")


def check_pictures(on_board):
    """What pictures of one's own can be read here: PNG and .npy always, JPEG and WebP by Pillow."""
    try:
        import PIL
    except ImportError:
        return Finding(
            "pictures", NOTE, "PNG and .npy; no Pillow, so no JPEG", "pip install -r requirements/images.txt"
        )
    return Finding("pictures", OK, f"PNG, .npy; JPEG and WebP by Pillow {PIL.__version__}")


def check_sample(on_board):
    """The embedded images, checked by their digests."""
    from data.datasets import load_sample

    images, _ = load_sample()
    return Finding("embedded images", OK, f"{len(images):,} of Fashion-MNIST")


def check_data(folder):
    """CIFAR-10's archive: given, or in the cache of downloads; else whether the network could bring it."""
    from data.arguments import folder_of
    from data.datasets import DATASETS, DataError, load

    if folder:
        try:
            folder = folder_of(folder, "cifar10")
            images, _ = load("cifar10", "test", folder)
            return Finding("CIFAR-10", OK, f"{len(images):,} test images in {folder}")
        except DataError as error:
            return Finding("CIFAR-10", MISSING, str(error), "give --data the folder with the official archive")
    try:
        cache = places.cache("cifar10")
    except UserError as error:
        return Finding("CIFAR-10", NOTE, str(error), "or give --data the folder with the official archive")
    if cache.is_dir() and any(cache.iterdir()):
        return Finding("CIFAR-10", OK, f"downloaded to {cache}")
    url = DATASETS["cifar10"].url
    reached = _reached(url)
    found = f"not downloaded yet; {url} can{'' if reached else 'not'} be reached"
    return Finding("CIFAR-10", NOTE, found, "" if reached else "copy the archive here and give --data its folder")


def _reached(url):
    """Whether a connection to the URL's host opens within 3 s."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 3):
            return True
    except OSError:
        return False


# -------------------------------------------------------------------------------------------------------------- machine
def check_disk(on_board):
    """Space where the project is, and that it can be written to."""
    free = shutil.disk_usage(ROOT).free >> 20
    if free < DISK_MB:
        remedy = "delete what is not needed; grow the partition of a new SD card"
        return Finding("disk", MISSING, f"{free} MB free, expected {DISK_MB}", remedy)
    if not os.access(ROOT, os.W_OK):
        return Finding(
            "disk", NOTE, f"{ROOT} cannot be written by this user", "give --json and --picture other folders"
        )
    return Finding("disk", OK, f"{free:,} MB free")


def _memory():
    """/proc/meminfo as name → MB; empty where there is none."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) >> 10 for line in lines if ":" in line}


def check_memory(on_board):
    """Memory that a program can have."""
    free = _memory().get("MemAvailable")
    if free is None:
        return Finding("memory", NOTE, "this system does not say")
    if free < MEMORY_MB:
        remedy = "end other programs (systemctl stop jupyter), give fewer --images"
        return Finding("memory", MISSING, f"{free} MB free, expected {MEMORY_MB}", remedy)
    return Finding("memory", OK, f"{free:,} MB free")


def check_cma(on_board):
    """Contiguous memory, of which pynq makes the engine's buffers."""
    found = _memory()
    if "CmaTotal" not in found:
        return Finding("contiguous memory", MISSING, "the kernel has none", "boot with cma=128M (bootargs)")
    if found.get("CmaFree", 0) < CMA_MB:
        text = f"{found.get('CmaFree', 0)} MB free of {found['CmaTotal']}, expected {CMA_MB}"
        return Finding("contiguous memory", MISSING, text, "end other programs that use pynq, or boot with cma=128M")
    return Finding("contiguous memory", OK, f"{found['CmaFree']} MB free of {found['CmaTotal']}")


def check_root(on_board):
    """pynq maps registers, which only root may."""
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        return Finding("permissions", MISSING, "not root", f"sudo -i, then source {PYNQ_VENV}")
    return Finding("permissions", OK, "root")


def check_meter_ports(on_board):
    """Serial ports that a meter could be on, and whether this user may open them."""
    from host.meters.serial_line import braille

    ports = sorted(str(path) for pattern in ("ttyUSB*", "ttyACM*") for path in Path("/dev").glob(pattern))
    if not ports:
        found = f"no /dev/ttyUSB* or /dev/ttyACM*: energy is modelled, not measured{braille()}"
        return Finding("meter ports", NOTE, found)
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        remedy = "sudo usermod -aG dialout $USER, then log in again"
        return Finding("meter ports", NOTE, f"{', '.join(closed)} cannot be opened by this user", remedy)
    try:
        import serial
    except ImportError:
        remedy = "pip install -r requirements/meter.txt"
        return Finding("meter ports", NOTE, f"{', '.join(ports)}, but no pyserial", remedy)
    return Finding("meter ports", OK, f"{', '.join(ports)}, pyserial {serial.__version__}")


def check_meter(text):
    """A meter that was asked for answers."""
    from host.energy import gauge
    from host.meters.open import open_meter

    try:
        with open_meter(text) as meter, gauge.sampling(meter):
            _, watt = meter.latest()
    except UserError as error:
        return Finding("meter", MISSING, str(error), "docs/power.md has the wiring")
    return Finding("meter", OK, f"{text}: {watt:.3g} W (measured)")
