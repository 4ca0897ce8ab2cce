"""The contract hls/isa.toml as the generator reads it: its hash, tables, registers and start parameters.

contract = tomllib.loads(Path("hls/isa.toml").read_text())
contract_hash(contract), registers(contract), scalars(contract)
"""

import hashlib
import json
import math

FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "exp": lambda x: math.exp(-x),
    "log": math.log,
}


def lookup_table(name, numbers):
    """The integer entries of a fixed-point table: round(f(middle of the bin) · scale), at most `maximum`."""
    width = (numbers["high"] - numbers["low"]) / numbers["entries"]
    middles = (numbers["low"] + (i + 0.5) * width for i in range(numbers["entries"]))
    return [min(numbers["maximum"], round(FUNCTIONS[name](x) * numbers["scale"])) for x in middles]


def contract_hash(contract):
    """Hexadecimal digest of everything in the contract that changes what a program means; comments and docs don't."""

    def meaning(value):
        if isinstance(value, dict):
            return {key: meaning(item) for key, item in value.items() if key != "doc"}
        return [meaning(item) for item in value] if isinstance(value, list) else value

    return hashlib.sha256(json.dumps(meaning(contract), sort_keys=True).encode()).hexdigest()[:16]


def registers(contract):
    """Name → (offset, data words) of every register of the control port, as Vitis HLS places them.

    Four control words, the 64-bit return value, then each argument: a memory port's address and a 64-bit scalar have
    two data words, a 32-bit scalar one; each is followed by a reserved word.
    """
    found = {"control": (0x00, 1), "interrupt_global": (0x04, 1), "interrupt_enable": (0x08, 1)}
    found |= {"interrupt_status": (0x0C, 1), "return": (0x10, 2)}
    offset = 0x1C
    for port in contract["port"]:
        words = 2 if port["kind"] == "memory" or port["bits"] == 64 else 1
        found[port["name"]] = (offset, words)
        offset += 4 * (words + 1)
    return found


def scalars(contract):
    """The scalar ports, in order; each with `low` and `high` as numbers, None where any value of its type will do."""
    names = {**contract["sizes"], **{f"RULE_{name}": value for name, value in contract["rules"].items()}}
    found = []
    for port in contract["port"]:
        if port["kind"] == "scalar":
            bounds = {end: eval(str(port[end]), {}, names) if end in port else None for end in ("low", "high")}
            found.append({**port, **bounds})
    return found


def start_fields(contract):
    """The scalar ports that are fields of Start: those always given first, so that they need no default."""
    given = [port for port in scalars(contract) if "given" in port or "default" in port]
    return sorted(given, key=lambda port: "default" in port)
