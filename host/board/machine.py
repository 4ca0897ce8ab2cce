"""What must hold of a machine before its engine is started: a Zynq-7000 of the right size, at the right clock.

    pynq = module()                    # BackendMissing where there is no board
    check_chip(pynq, "xc7z020clg484-1")
    clock_hz = check_clock(pynq, timer, 33333333, 142857143, 0.01)

All of them raise UserError with one line.
"""

import importlib
import importlib.util
import os
import platform
import sys
import warnings
from contextlib import contextmanager

from hls.errors import UserError
from host.backend import BackendMissing
from host.board.overlay import line

ARCHITECTURE = "armv7l"
CHIP_REGISTER = 0xF8000530  # PSS_IDCODE of the Zynq-7000's system level control registers
CHIPS = {"xc7z007s": 0x03, "xc7z010": 0x02, "xc7z012s": 0x1C, "xc7z014s": 0x08, "xc7z015": 0x1B, "xc7z020": 0x07}
CHIPS |= {"xc7z030": 0x0C, "xc7z035": 0x12, "xc7z045": 0x11, "xc7z100": 0x16}  # bits 16 to 12
CONTROL, CONTROL_SIZE = 0xF8000000, 0x200  # the system level control registers (UG585, appendix B.28)
PLLS = {0: 0x108, 1: 0x108, 2: 0x100, 3: 0x104}  # SRCSEL of a clock of the logic → its PLL's register: IO, ARM, DDR
LOGIC_CLOCK = 0x170  # FPGA0_CLK_CTRL
RATE_S = 0.02  # of counting to measure the clock
RATE_SLACK = 0.03  # the processor's own clock is taken as this good


def present():
    """Whether pynq is installed here: without it a machine is no board, and nobody needs to be told."""
    return "pynq" in sys.modules or importlib.util.find_spec("pynq") is not None


def module():
    """The module pynq, with a Zynq-7000 as its device. BackendMissing where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynq says on standard error what is said here
        try:
            pynq = importlib.import_module("pynq")
            device = pynq.Device.active_device
        except ImportError as error:
            text = f"no board here, pynq cannot be imported ({line(error)})"
            raise BackendMissing(f"{text}: {_remedy(error) or 'run it on one'}") from None
        except Exception as error:  # whatever XRT, the device tree or a half installed package raises
            remedy = _remedy(error) or "run it on one, as root"
            raise BackendMissing(f"pynq finds no board ({line(error)}): {remedy}") from None
    architecture = getattr(device, "arch", ARCHITECTURE)  # pynq 3.0 does not say
    if architecture != ARCHITECTURE:
        name = getattr(device, "name", "unknown")
        raise BackendMissing(f"pynq's device {name} is on {architecture}, expected a Zynq-7000 ({ARCHITECTURE})")
    return pynq


def _remedy(error):
    """What to do where pynq fails on a board for a known reason; "" where it is none."""
    text = str(error)
    if any(word in text for word in ("numpy.core", "_ARRAY_API", "NumPy 1", "numpy.dtype size")):
        return "its numpy is too new, pip install 'numpy<2' in PYNQ's environment (docs/board.md)"
    if platform.machine() == ARCHITECTURE and "XILINX_XRT" not in os.environ:
        return "source /etc/profile.d/pynq_venv.sh and /etc/profile.d/xrt_setup.sh first, as root"
    return ""


def check_chip(pynq, part):
    """The processor's own identity must be that of `part`: a bitstream for another chip may not be loaded."""
    code = int(pynq.MMIO(CHIP_REGISTER, 4).read(0)) >> 12 & 0x1F
    name = {value: name for name, value in CHIPS.items()}.get(code, f"an unknown chip (0x{code:02X})")
    if not part.startswith(name):
        raise UserError(f"this board has {name}, the bitstream is for {part}: give the bitstream of this board")


def logic_clock(pynq, crystal_hz):
    """(Hz of the logic's first clock, how it comes about) by the processor's registers: a PLL's factor, two divisors.

    pynq's own Clocks is not asked: it takes every Zynq-7000 for one with a crystal of 50 MHz.
    """
    registers = pynq.MMIO(CONTROL, CONTROL_SIZE)
    clock = int(registers.read(LOGIC_CLOCK))
    pll = int(registers.read(PLLS[clock >> 4 & 3]))
    factor = 1 if pll >> 4 & 1 else pll >> 12 & 0x7F  # the PLL may be bypassed
    divisors = clock >> 8 & 0x3F, clock >> 20 & 0x3F
    found = crystal_hz * factor / max(divisors[0] * divisors[1], 1)
    return found, f"{crystal_hz / 1e6:.6g} × {factor} ÷ {divisors[0]} ÷ {divisors[1]}"


def check_clock(pynq, timer, crystal_hz, clock_hz, tolerance):
    """The engine's clock in Hz, as set and as its timer counts; both must be `clock_hz` within their tolerance."""
    found, how = logic_clock(pynq, crystal_hz)
    if abs(found - clock_hz) > tolerance * clock_hz:
        raise UserError(
            f"the engine's clock is {found / 1e6:.6g} MHz ({how}), the bitstream was built for {clock_hz / 1e6:.6g} "
            "MHz: restart the board, and check that its .hwh belongs to the .bit"
        )
    low, high = timer.rate(RATE_S)
    if low > (1 + RATE_SLACK) * found or high < (1 - RATE_SLACK) * found:
        raise UserError(
            f"the engine's timer counts at {low / 1e6:.6g} MHz, its clock is set to {found / 1e6:.6g} MHz "
            f"({how}): is --board the right one? else restart the board"
        )
    return round(found)


@contextmanager
def told(doing, remedy="try again, and restart the board if it stays"):
    """Turn what pynq or the system raises while `doing` something into a UserError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:
        denied = isinstance(error, PermissionError) or "permission" in str(error).lower()
        remedy = "run it as root (sudo)" if denied else remedy
        raise UserError(f"{doing} failed ({line(error)}): {remedy}") from None
