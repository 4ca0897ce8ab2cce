"""The design that is loaded into the board's logic: its blocks and addresses, its files, its registers.

    design = read()                                       # bitstreams/overlay.json
    build = find(BITSTREAMS / "zedboard", "zedboard")     # the .bit, .hwh and build.json there, checked
    offsets = match(overlay.ip_dict[...]["registers"])    # register → offset, as the .hwh says; must be the contract's

bitstreams/overlay.json is the one place of these facts: the driver compares a loaded design with it, and the scripts
that build the design are tested against it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hls import isa
from hls.errors import UserError
from host.backend import BackendMissing
from host.board import catalog

BITSTREAMS = Path(__file__).resolve().parents[2] / "bitstreams"
FILE = BITSTREAMS / "overlay.json"
AGAIN = "build it again from this commit (bitstreams/), or copy the .bit, .hwh and build.json of one release"
# What Vitis HLS calls the registers that every engine has; an argument's register has the argument's name.
FIXED = {
    "control": "CTRL",
    "interrupt_global": "GIER",
    "interrupt_enable": "IP_IER",
    "interrupt_status": "IP_ISR",
    "return": "ap_return",
}


class OtherPoint(UserError):
    """A bitstream of the board whose engine is not this one, but another `point` of the board."""

    def __init__(self, text, point):
        super().__init__(text)
        self.point = point


@dataclass(frozen=True)
class Block:
    """A block of the design: `base` and `range` in bytes on the processor's bus."""

    ip: str
    vlnv: str
    base: int
    range: int
    bus: str


@dataclass(frozen=True)
class Design:
    """bitstreams/overlay.json; `memory_ports` says which port of the processor's memory a port of the engine uses."""

    name: str
    engine: Block
    timer: Block
    interrupt_controller: Block
    interrupt: str  # the engine's pin
    clock: str
    clock_tolerance: float  # a share of the clock
    memory_ports: dict
    alignment: int  # of buffers, in bytes


@dataclass(frozen=True)
class Build:
    """A built bitstream: its file and what its build.json says."""

    bit: Path
    clock_hz: int
    part: str
    commit: str


def read(path=FILE):
    """The Design at `path`. UserError when it is missing or damaged."""
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
        return Design(
            name=facts["design"],
            engine=_block(facts["engine"]),
            timer=_block(facts["timer"]),
            interrupt_controller=_block(facts["interrupt_controller"]),
            interrupt=facts["engine"]["interrupt"],
            clock=facts["clock"]["name"],
            clock_tolerance=float(facts["clock"]["tolerance"]),
            memory_ports=dict(facts["memory_ports"]),
            alignment=int(facts["buffer_alignment"]),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be used ({line(error)}): restore it from the repository") from None


def _block(facts):
    return Block(facts["ip"], facts["vlnv"], int(facts["base"], 16), int(facts["range"], 16), facts["bus"])


def find(folder, board=catalog.DEFAULT):
    """The Build in `folder` for `board`.

    BackendMissing when there is no bitstream; UserError when its files are incomplete, damaged or for another board;
    OtherPoint when its engine is another one of the board's.
    """
    folder = Path(folder)
    bits = sorted(folder.glob("*.bit"))
    if not bits:
        raise BackendMissing(f"no bitstream in {folder}: build one (bitstreams/), or copy a release's files there")
    if len(bits) > 1:
        raise UserError(f"{len(bits)} bitstreams in {folder}, expected one: keep {bits[0].name} or another one alone")
    bit = bits[0]
    if not bit.with_suffix(".hwh").is_file():
        raise UserError(f"{bit.with_suffix('.hwh')} is missing, which describes {bit.name}: {AGAIN}")
    facts = _build_facts(folder / "build.json")
    _check_contract(bit, facts["isa_hash"], board)
    expected = part(board)
    if facts["part"] != expected:
        raise UserError(f"{bit.name} is for {facts['part']}, {board} has {expected}: {AGAIN}")
    for name, sha256 in facts.get("sha256", {}).items():
        _check_file(folder / name, sha256)
    return Build(bit, round(float(facts["clock_mhz"]) * 1e6), facts["part"], str(facts.get("commit", "unknown")))


def _check_contract(bit, found, board):
    """UserError unless the bitstream's engine is this one; OtherPoint says how that engine is had."""
    if found == isa.HASH:
        return
    said, point = f"{bit.name} is an engine for contract {found}, this is {isa.HASH}", catalog.point_of(board, found)
    if point is None:
        raise UserError(f"{said}: {AGAIN}")
    remedy = f"make deploy HOST=… BOARD={board}, from the laptop, copies what fits it"
    raise OtherPoint(f"{said}: it is {board}'s point {point}; {remedy}", point)


def _build_facts(path):
    """What build.json says; UserError unless it has all that the driver needs."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        texts = all(isinstance(facts[key], str) for key in ("isa_hash", "part"))
        if texts and 1 <= float(facts["clock_mhz"]) <= 1000 and isinstance(facts.get("sha256", {}), dict):
            return facts
        problem = "isa_hash and part must be texts, clock_mhz a number of MHz"
    except (OSError, KeyError, TypeError, ValueError) as error:
        problem = line(error)
    raise UserError(f"{path} cannot be used ({problem}): {AGAIN}")


def _check_file(path, sha256):
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({line(error)}): {AGAIN}") from None
    if found != sha256:
        raise UserError(f"{path} is not the file that build.json was written with: copied in part or mixed, {AGAIN}")


def part(board):
    """The part of `board`, from bitstreams/boards.json."""
    try:
        return json.loads(catalog.FILE.read_text(encoding="utf-8"))[board]["part"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{catalog.FILE} has no part of {board} ({line(error)}): restore it") from None


def check_block(block, ip_dict):
    """UserError unless a loaded design has `block` where it belongs: a wrong address hangs the processor."""
    found = ip_dict.get(block.ip)
    if found is None:
        have = ", ".join(sorted(name for name in ip_dict if name)) or "none"
        raise UserError(f"the loaded design has no {block.ip} (its blocks: {have}): {AGAIN}")
    where = found.get("phys_addr"), found.get("addr_range")
    if where != (block.base, block.range):
        shown = " + ".join("?" if value is None else f"0x{value:X}" for value in where)
        expected = f"0x{block.base:X} + 0x{block.range:X}"
        raise UserError(f"{block.ip} is at {shown} in the .hwh, expected {expected}: {AGAIN}")


def match(registers):
    """Register → offset for isa.REGISTERS, from a block's `registers` of the .hwh; UserError names a difference.

    An argument of 64 bits is two registers, NAME_1 and NAME_2, or one of that size; a name that is a word of an HDL has
    _r behind it.
    """
    known, offsets = dict(registers), {}
    for name, (expected, words) in isa.REGISTERS.items():
        found = _take(known, name, words)
        if found is None:
            raise UserError(f"the engine in the .hwh has no register {name}, its contract is another one: {AGAIN}")
        if found != [expected + 4 * word for word in range(words)]:
            shown = ", ".join(f"0x{offset:02X}" for offset in found)
            raise UserError(f"register {name} is at {shown} in the .hwh, the contract has 0x{expected:02X}: {AGAIN}")
        offsets[name] = expected
    if known:
        raise UserError(
            f"the engine in the .hwh has a register {sorted(known)[0]} that is not in the contract: {AGAIN}"
        )
    return offsets


def _take(known, name, words):
    """Offsets of a register's words, taken out of `known`; None when one is not there."""
    for stem in (FIXED.get(name, name), f"{name}_r"):
        names = [stem] if words == 1 else [f"{stem}_{word + 1}" for word in range(words)]
        if all(item in known for item in names):
            return [int(known.pop(item)["address_offset"]) for item in names]
        if stem in known and known[stem].get("size") == 32 * words:
            offset = int(known.pop(stem)["address_offset"])
            return [offset + 4 * word for word in range(words)]
    return None


def line(error):
    """An exception's text on one line, with its kind where it says nothing itself."""
    text = " ".join(str(error).split())
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__} {text}".strip()
    return text if len(text) <= 300 else f"{text[:300]}…"
