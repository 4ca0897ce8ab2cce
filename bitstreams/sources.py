"""The engine's C++ as HLS and its test bench take it: a copy with depths, and a header that calls the top function.

    top = read_top()             # ports, types and pragmas of ddi_engine, checked against isa.PORTS
    write(folder, top, depths)   # folder/src: headers, engine.cpp; folder/engine_call.hpp

C/RTL co-simulation wants the number of elements behind each pointer (`depth`), which depends on the vectors. A second
INTERFACE for the same port may be an error or ignored (UG1399, Adding Pragmas and Directives), so the copy's own pragma
gets it; nothing else of the source changes, and depth changes nothing of the RTL.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from hls import isa
from hls.errors import UserError

SOURCES = Path(isa.__file__).resolve().parent / "src"
MAIN = "engine.cpp"
TOP, TOP_FILE = "ddi_engine", "top.hpp"  # the function, and the generated file that has it
TYPE_BITS = {f"{sign}int{bits}_t": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}
BURST_TYPE = "ddi::BurstWords"
_PRAGMA = re.compile(r"^ *#pragma HLS interface m_axi port = (\w+)(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """An argument of the top function: its C++ type without pointer, and whether it is one.

    A port of bursts has a type of its own, a pointer to constants but for the vendor (hls/src/shim.hpp).
    """

    name: str
    type: str
    pointer: bool
    constant: bool
    burst: bool = False


@dataclass(frozen=True)
class Top:
    """The top function: what it returns, its arguments in order, and what its m_axi pragmas say."""

    returns: str
    parameters: tuple  # of Parameter
    widened: dict  # memory port → bits that HLS may widen it to

    @property
    def memories(self):
        return [parameter for parameter in self.parameters if parameter.pointer]


def read_top(folder=SOURCES, ports=None):
    """The Top in top.hpp. UserError unless its arguments are those of `ports` (isa.PORTS), with m_axi pragmas."""
    text = (Path(folder) / TOP_FILE).read_text(encoding="utf-8")
    found = re.search(rf'extern "C" (\w+) {TOP}\((.*?)\)', text, re.DOTALL)
    if found is None:
        raise UserError(f'{TOP_FILE} has no extern "C" {TOP}(…): the flow has no top function')
    parameters = tuple(_parameter(part) for part in found[2].split(","))
    pragmas = _PRAGMA.findall(text)
    top = Top(found[1], parameters, {name: _widened(options) for name, options in pragmas})
    _check(top, [name for name, _ in pragmas], isa.PORTS if ports is None else ports)
    return top


def _parameter(text):
    burst = re.fullmatch(rf"\s*{BURST_TYPE} (\w+)\s*", text)
    if burst is not None:
        return Parameter(burst[1], "int64_t", True, True, True)
    match = re.fullmatch(r"\s*(const )?(\w+)(\*?) (\w+)\s*", text)
    if match is None or match[2] not in TYPE_BITS:
        raise UserError(
            f"{TOP_FILE}: argument {' '.join(text.split())!r} of {TOP}, expected a pointer or fixed-width integer"
        )
    return Parameter(match[4], match[2], bool(match[3]), bool(match[1]))


def _widened(options):
    found = re.search(r"max_widen_bitwidth = (\d+)", options)
    return int(found[1]) if found else 0


def _check(top, pragmas, ports):
    found = {item.name: ["memory" if item.pointer else "scalar", TYPE_BITS[item.type]] for item in top.parameters}
    expected = {name: list(port) for name, port in ports.items()}
    if list(found.items()) != list(expected.items()):
        wrong = next(
            (pair for pair in zip(found.items(), expected.items()) if pair[0] != pair[1]), (len(found), len(expected))
        )
        raise UserError(
            f"{TOP_FILE}: {TOP} has the argument {wrong[0]}, the contract {wrong[1]}: run python -m hls.generate"
        )
    memories = [item.name for item in top.memories]
    if sorted(pragmas) != sorted(memories):
        raise UserError(
            f"{TOP_FILE} has m_axi pragmas for {', '.join(pragmas)}, expected one for each of {', '.join(memories)}"
        )
    if TYPE_BITS.get(top.returns) not in (32, 64):
        raise UserError(f"{TOP_FILE}: {TOP} returns {top.returns}, expected the status in 32 or 64 bits")


def headers(folder=SOURCES):
    """The engine's headers under `folder`, in order."""
    return sorted(Path(folder).rglob("*.hpp"))


def digest(folder=SOURCES):
    """Hexadecimal digest of the engine's sources and contract: results of other ones are another engine's."""
    found = hashlib.sha256(isa.HASH.encode())
    for path in (*headers(folder), Path(folder) / MAIN):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def write(folder, top, depths, sources=SOURCES):
    """Write the copy of the sources and engine_call.hpp into `folder`. depths: memory port → elements."""
    folder = Path(folder)
    (folder / "src").mkdir(parents=True, exist_ok=True)
    for path in headers(sources):
        target = folder / "src" / path.relative_to(sources)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "src" / MAIN).write_bytes((Path(sources) / MAIN).read_bytes())
    text = (Path(sources) / TOP_FILE).read_text(encoding="utf-8")
    deep = _PRAGMA.sub(lambda found: f"{found[0]} depth = {depths[found[1]]}", text)
    (folder / "src" / TOP_FILE).write_text(deep, encoding="utf-8")
    (folder / "engine_call.hpp").write_text(call_header(top), encoding="utf-8")


def call_header(top):
    """The header that declares the top function and calls it with what the vectors hold."""
    names = ", ".join(f'"{item.name}"' for item in top.memories)
    declared = ", ".join(f"{_type(item)} {item.name}" for item in top.parameters)
    values = ",\n      ".join(
        f'vectors.template Memory<{item.type}>("{item.name}")'
        if item.pointer
        else f'static_cast<{item.type}>(vectors.Scalar("{item.name}"))'
        for item in top.parameters
    )
    bits = TYPE_BITS[top.returns]
    sized = "\n".join(
        f'  m_param_alloc({index}, vectors.Bytes("{item.name}"));'
        for index, item in enumerate(top.parameters)
        if item.pointer
    )
    return f"""\
// Made by bitstreams/sources.py of {TOP_FILE}: how the test bench calls the engine.
#pragma once
#include <cstdint>

#include "src/shim.hpp"
#ifdef __BAMBU_SIM__
#include <mdpi/mdpi_user.h>
#endif

extern "C" {top.returns} {TOP}({declared});

constexpr const char* kMemories[] = {{{names}}};
constexpr bool kReturnsHash = {"true" if bits == 64 else "false"};
constexpr uint32_t kHashHigh = 0x{isa.HASH[:8]}u;

template <typename Vectors>
uint64_t CallEngine(Vectors& vectors) {{
#ifdef __BAMBU_SIM__  // how many bytes are behind each pointer: where Vitis HLS takes depth
{sized}
#endif
  return static_cast<uint{bits}_t>({TOP}(
      {values}));
}}
"""


def _type(item):
    if item.burst:
        return BURST_TYPE
    return f"{'const ' if item.constant else ''}{item.type}{'*' if item.pointer else ''}"
