"""Bambu's controllers in a form that yosys maps in minutes: each output by itself, a state a bit (one-hot).

A controller is one block that sets every output to 0, and then, in a case of some hundred states, a few of them to 1.
yosys makes a multiplexer of all states for each of some thousand outputs. Here an output becomes the OR of the states
that set it, under their conditions: the same function of the state, which synthesis would encode as it likes.
"""

import re

from hls.errors import UserError

_CONTROLLER = re.compile(r"^module (controller_\w+)\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_CODES = re.compile(r"^  parameter \[\d+:0\] (S_\d+ = [^;]*);\n", re.MULTILINE)
_REGISTER = re.compile(r"^  reg \[\d+:0\] _present_state=", re.MULTILINE)
_BLOCK = re.compile(
    r"^  always @\(\*\)\n  begin\n(.*?)    case \(_present_state\)\n(.*)    endcase\n  end\n", re.M | re.S
)
_TOKEN = re.compile(r"\d+'b[01?]+|[\w$]+|==|\S")
NEXT, ZERO = "_next_state", "1'b0"


def split(verilog):
    """The Verilog with every controller taken apart. UserError."""
    return _CONTROLLER.sub(lambda found: _split(found[1], found[0]), verilog)


def _split(name, text):
    declared, register, block = _CODES.search(text), _REGISTER.search(text), _BLOCK.search(text)
    if not (declared and register and block):
        raise UserError(f"{name} has no states, no register of them or no case: not a controller as Bambu's")
    codes = {state: bit for bit, state in enumerate(re.findall(r"S_\d+(?= =)", declared[1]))}
    outputs = {output: [] for output in re.findall(r"^    (\w+) = 1'b0;$", block[1], re.MULTILINE)}
    outputs |= {f"{NEXT}[{bit}]": [] for bit in codes.values()}
    for state, values in _Reader(name, block[2], codes).states():
        for output, value in values.items():
            if value != ZERO:
                outputs[output].append(f"_present_state[{codes[state]}]" + (f" & {value}" if value != "1'b1" else ""))
    lines = [f"  always @(*) {output} = {' | '.join(terms) or ZERO};\n" for output, terms in outputs.items()]
    width = len(codes)
    named = ",\n    ".join(f"{state} = {width}'b1 << {bit}" for state, bit in codes.items())
    parts = [
        text[: declared.start()],
        f"  parameter [{width - 1}:0] {named};\n",
        text[declared.end() : register.start()],
    ]
    parts += [
        f"  reg [{width - 1}:0] _present_state=",
        text[register.end() : block.start()],
        *lines,
        text[block.end() :],
    ]
    return "".join(parts)


class _Reader:
    """Reads the states of a case, in order: (state, output → expression)."""

    def __init__(self, name, text, codes):
        self.name, self.codes = name, codes
        self.tokens = [*_TOKEN.findall(text), ""]  # "" is the end
        self.at = 0

    def take(self, expected=None):
        token = self.tokens[self.at]
        if expected not in (None, token):
            raise UserError(f"{self.name}: {token!r} where {expected!r} was expected: not a controller as Bambu's")
        self.at += 1
        return token

    def states(self):
        while self.tokens[self.at]:
            state = self.take()
            self.take(":")
            values = self.statement({})
            if state != "default":  # no state is without a bit
                yield state, values

    def statement(self, values):
        """Output → expression after the statement, if they were `values` before."""
        token = self.take()
        if token == "begin":
            while self.tokens[self.at] != "end":
                values = self.statement(values)
            self.take()
            return values
        if token == "if":
            return self.branch(self.condition(), values)
        if token == "casez":
            return self.cases(self.condition(), values)
        self.take("=")
        value = self.take()
        self.take(";")
        if token != NEXT:
            return values | {token: value}
        others = {output: was for output, was in values.items() if not output.startswith(NEXT)}
        return others | {f"{NEXT}[{self.codes[value]}]": "1'b1"}

    def branch(self, condition, values):
        then = self.statement(values)
        other = values
        if self.tokens[self.at] == "else":
            self.take()
            other = self.statement(values)
        return _choose(condition, then, other)

    def condition(self):
        """The text between parentheses."""
        self.take("(")
        parts, depth = [], 1
        while True:
            token = self.take()
            depth += {"(": 1, ")": -1}.get(token, 0)
            if not depth:
                return " ".join(parts)
            parts.append(token)

    def cases(self, selector, values):
        """Arms of a casez, the first that matches."""
        arms, other = [], values
        while self.tokens[self.at] != "endcase":
            pattern = self.take()
            self.take(":")
            found = self.statement(values)
            if pattern == "default":
                other = found
            else:
                arms.append((_matches(selector, pattern.partition("'b")[2]), found))
        self.take()
        for condition, found in reversed(arms):
            other = _choose(condition, found, other)
        return other


def _matches(selector, bits):
    wanted = [(len(bits) - 1 - i, bit) for i, bit in enumerate(bits) if bit != "?"]
    whole = len(bits) == 1
    return " & ".join(f"{'' if bit == '1' else '~'}{selector}{'' if whole else f'[{at}]'}" for at, bit in wanted)


def _choose(condition, then, other):
    """Output → expression by a condition; an output that one side does not set is 0 there."""
    found = {}
    for output in {**then, **other}:
        pair = then.get(output, ZERO), other.get(output, ZERO)
        found[output] = pair[0] if pair[0] == pair[1] else f"({condition} ? {pair[0]} : {pair[1]})"
    return found
