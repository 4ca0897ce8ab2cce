"""The engine with other sizes: a copy of this package in a folder, generated from a changed contract.

    write(folder, {"TILE_WORDS": 64})      # folder/hls, which a process that is started in `folder` imports
    write(folder, {"DDR_LATENCY": 40})     # the shipped engine beside a slower memory

A depth of hls/isa.toml is a loop's own stages and, where it waits for the DDR, the cycles of a read. Of those it counts
DDR_LATENCY; a board whose file says otherwise has another contract, for its schedule is another. Nothing of the running
process changes.
"""

import shutil
from pathlib import Path

from hls import isa
from hls.contract import contract_hash
from hls.generate import sources

SECTIONS = ("sizes", "timing")
LATENCY, DDR_LATENCY = "DDR_LATENCY", 24  # a name among sizes, and cycles of a read that the shipped contract counts
WAITING = ("LoadTables", "ImageBeats", "MapCycles", "RowCycles", "MoveIn")  # loops that wait for a read


def changed(contract, sizes):
    """The contract with some of its sizes replaced, and as many ports of weights as they say.

    ValueError for a name that it does not have.
    """
    known = {name for section in SECTIONS for name in contract[section]} | {LATENCY}
    if unknown := sorted(set(sizes) - known):
        raise ValueError(f"no size {unknown[0]} in hls/isa.toml: expected one of {', '.join(sorted(known))}")
    parts = {
        section: {name: sizes.get(name, value) for name, value in contract[section].items()} for section in SECTIONS
    }
    held = parts["timing"]["WEIGHT_PORTS"]
    extra = [port["name"] for port in contract["port"] if port.get("burst")][held:]
    more = sizes.get(LATENCY, DDR_LATENCY) - DDR_LATENCY
    parts["timing"]["FETCH_FAR"] += more
    loops = [_waiting(loop, more) for loop in contract["loop"]]
    return contract | parts | {"loop": loops, "port": [port for port in contract["port"] if port["name"] not in extra]}


def _waiting(loop, more):
    """A loop with `more` cycles in its depth where it waits for the DDR."""
    waits = loop["name"].partition("::")[2] in WAITING
    return {**loop, "depth": loop["depth"] + more} if waits else loop


def contract_of(sizes):
    """The contract of hls/isa.toml with these sizes. ValueError, as `changed`."""
    import tomllib  # Python 3.11; nothing on a board needs it

    return changed(tomllib.loads(sources.SOURCE.read_text(encoding="utf-8")), sizes)


def hash_of(sizes):
    """The hash of that contract, which packages and bitstreams of such an engine have."""
    return contract_hash(contract_of(sizes))


def is_shipped():
    """Whether the running engine is that of hls/isa.toml, of which docs/ has pages."""
    return hash_of({}) == isa.HASH


def write(folder, sizes):
    """Write the package hls for these sizes into `folder`."""
    contract = contract_of(sizes)
    package = Path(folder) / "hls"
    shutil.copytree(sources.ROOT / "hls", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "isa.py").write_text(sources.python_module(contract), encoding="utf-8")
    (package / "src" / "isa.hpp").write_text(sources.cpp_header(contract), encoding="utf-8")
    (package / "src" / "top.hpp").write_text(sources.cpp_top(contract), encoding="utf-8")
