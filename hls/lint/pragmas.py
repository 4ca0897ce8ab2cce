"""`#pragma HLS` lines: which there are, what they may say, and where they may stand.

    for message in problems(pragma, site): ...

A pragma that is misspelt, or that names nothing, is ignored by a compiler without a word; here it is a violation.
"""

from dataclasses import dataclass, field

from hls.lint import cpp
from hls.lint.loops import LOOPS

EXPRESSION, NAME, VARIABLE, PORT = "expression", "name", "variable", "port"
MEMORIES = {"ram_1p", "ram_2p", "ram_1wnr", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np", "fifo"}
_BURSTS = ("max_widen_bitwidth", "max_read_burst_length", "max_write_burst_length", "num_read_outstanding",
           "num_write_outstanding", "latency", "depth")  # fmt: skip

# name → (bare words, argument → what it takes: a kind, or the words to choose from)
PRAGMAS = {
    "interface": (
        {"m_axi", "s_axilite", "ap_ctrl_hs", "ap_ctrl_chain", "ap_ctrl_none", "ap_memory", "ap_none"},
        {"port": PORT, "offset": {"slave", "direct", "off"}, "bundle": NAME, "name": NAME,
         "mode": {"m_axi", "s_axilite", "ap_memory", "ap_none"}, **dict.fromkeys(_BURSTS, EXPRESSION)},
    ),
    "pipeline": ({"off", "rewind"}, {"II": EXPRESSION, "style": {"stp", "frp", "flp"}}),
    "unroll": ({"skip_exit_check"}, {"factor": EXPRESSION}),
    "array_partition": (
        {"complete", "cyclic", "block"},
        {"variable": VARIABLE, "type": {"complete", "cyclic", "block"}, "factor": EXPRESSION, "dim": EXPRESSION},
    ),
    "array_reshape": (
        {"complete", "cyclic", "block"},
        {"variable": VARIABLE, "type": {"complete", "cyclic", "block"}, "factor": EXPRESSION, "dim": EXPRESSION},
    ),
    "bind_storage": (set(), {"variable": VARIABLE, "type": MEMORIES, "latency": EXPRESSION,
                             "impl": {"bram", "bram_ecc", "lutram", "uram", "uram_ecc", "srl", "memory", "auto"}}),
    "bind_op": (set(), {"variable": VARIABLE, "op": {"mul", "add", "sub"}, "impl": {"dsp", "fabric"},
                        "latency": EXPRESSION}),
    "loop_tripcount": (set(), {"min": EXPRESSION, "max": EXPRESSION, "avg": EXPRESSION}),
    "dependence": (
        {"inter", "intra", "RAW", "WAR", "WAW", "false", "true", "array", "pointer"},
        {"variable": VARIABLE, "type": {"inter", "intra"}, "direction": {"RAW", "WAR", "WAW"}, "distance": EXPRESSION,
         "class": {"array", "pointer"}, "dependent": {"false", "true"}},
    ),
    "dataflow": (set(), {}),
    "inline": ({"off", "recursive"}, {}),
    "latency": (set(), {"min": EXPRESSION, "max": EXPRESSION}),
    "loop_flatten": ({"off"}, {}),
    "aggregate": (set(), {"variable": VARIABLE, "compact": {"bit", "byte", "none", "auto"}}),
    "stable": (set(), {"variable": VARIABLE}),
}  # fmt: skip
NEEDED = {name: {"variable"} for name, (_, takes) in PRAGMAS.items() if "variable" in takes}
NEEDED |= {"loop_tripcount": {"max"}, "interface": {"port"}}
OF_LOOPS = {"unroll", "loop_tripcount", "loop_flatten"}  # first in the body of a loop
OF_BODIES = {"pipeline", "latency"}  # first in the body of a loop or a function
OF_FUNCTIONS = {"inline", "interface", "dataflow"}  # in the outermost block of a function
_INFIX = {"*", "/", "+", "-", "%", "<<", ">>"}


class PragmaError(Exception):
    """A pragma that says what no compiler takes."""


@dataclass
class Pragma:
    """One `#pragma HLS` line: its bare words, and its arguments as lists of spellings."""

    name: str
    line: int
    offset: int
    words: list = field(default_factory=list)
    arguments: dict = field(default_factory=dict)

    def text(self, key):
        """An argument as it is written, without spaces; "" without one."""
        return "".join(token.spelling for token in self.arguments.get(key, ()))


@dataclass
class Site:
    """Where a pragma stands: the innermost block, what owns it (a loop or a function), and the names in sight."""

    function: object
    owner: object
    block: object
    names: dict  # variables and parameters that are declared before it, and globals: name → cursor
    ports: set  # parameters of the function


def directive(words):
    """Pragma of the tokens behind `#pragma HLS`. PragmaError names what is unknown or missing."""
    if not words:
        raise PragmaError("nothing follows #pragma HLS")
    name, position = words[0].spelling, 1
    if name not in PRAGMAS:
        raise PragmaError(f"unknown pragma {name}: expected one of {', '.join(sorted(PRAGMAS))}")
    pragma, (bare, takes) = Pragma(name, words[0].location.line, words[0].location.offset), PRAGMAS[name]
    while position < len(words):
        key = words[position].spelling
        if position + 1 < len(words) and words[position + 1].spelling == "=":
            if key not in takes or key in pragma.arguments:
                raise PragmaError(f"{name} takes no argument {key}, or takes it once: {', '.join(takes) or 'none'}")
            end = _end_of_value(words, position + 2)
            pragma.arguments[key] = words[position + 2 : end]
            position = end
        elif key in bare:
            pragma.words.append(key)
            position += 1
        else:
            raise PragmaError(f"{name} does not know {key}: expected {', '.join(sorted({*bare, *takes})) or 'nothing'}")
    missing = NEEDED.get(name, set()) - set(pragma.arguments)
    if missing:
        raise PragmaError(f"{name} needs {', '.join(sorted(missing))} =")
    return pragma


def _end_of_value(words, at):
    """Index behind the expression that starts at `at`: operands, joined by operators."""
    depth, operand = 0, False
    while at < len(words):
        spelling = words[at].spelling
        if spelling == "(":
            depth, operand = depth + 1, False
        elif spelling == ")":
            depth, operand = depth - 1, True
        elif spelling in ("::", ".", *_INFIX):
            operand = False
        elif operand:
            break
        else:
            operand = True
        at += 1
    if depth or not operand:
        raise PragmaError("an argument's value is cut off")
    return at


def problems(pragma, site):
    """What is wrong with a pragma where it stands, as sentences."""
    takes = PRAGMAS[pragma.name][1]
    for key, value in pragma.arguments.items():
        text, kind = pragma.text(key), takes[key]
        if kind == EXPRESSION:
            yield from _expression_problems(key, value, site)
        elif kind == VARIABLE:
            yield from _variable_problems(pragma, value, site)
        elif kind == PORT and text != "return" and text not in site.ports:
            yield f"port {text} is no parameter of {site.function.spelling}"
        elif isinstance(kind, set) and text not in kind:
            yield f"{key} = {text}: expected one of {', '.join(sorted(kind))}"
    yield from _place_problems(pragma, site)


def _place_problems(pragma, site):
    owner_is_loop = site.owner.kind.name in LOOPS
    outermost = site.owner.kind.name in cpp.FUNCTIONS
    if pragma.name in OF_LOOPS and not owner_is_loop:
        yield f"{pragma.name} governs a loop: put it first in the loop's body"
    elif pragma.name in OF_BODIES and not (owner_is_loop or outermost):
        yield f"{pragma.name} governs a loop or a function: put it first in its body"
    elif pragma.name in OF_FUNCTIONS and not outermost:
        yield f"{pragma.name} governs a function: put it first in its body"
    elif pragma.name in OF_LOOPS | OF_BODIES | OF_FUNCTIONS and any(
        child.extent.start.offset < pragma.offset for child in site.block.get_children()
    ):
        yield f"{pragma.name} comes after a statement: put it first in the body that it governs"


def _expression_problems(key, value, site):
    for index, token in enumerate(value):
        qualifier = index + 1 < len(value) and value[index + 1].spelling == "::"
        if token.kind.name != "IDENTIFIER" or qualifier:
            continue
        if not is_constant_name(token.spelling, site):
            yield f"{key} = … {token.spelling} …: not a constant; name a constexpr or a template's number"


def is_constant_name(name, site):
    """Is `name`, seen from the pragma, a number that is known when the source is compiled?"""
    named = site.names.get(name)
    if named is None:
        return False
    return named.kind.name == "TEMPLATE_NON_TYPE_PARAMETER" or cpp.is_constant_name(named)


def _variable_problems(pragma, value, site):
    path = [token.spelling for token in value if token.spelling != "."]
    named = site.names.get(path[0])
    if named is None:
        yield f"no variable {path[0]} is declared before the pragma"
        return
    kind = _stored(named.type)
    for member in path[1:]:
        fields = {each.spelling: each for each in kind.get_declaration().get_children()}
        if member not in fields or fields[member].kind.name != "FIELD_DECL":
            yield f"{'.'.join(path)}: {kind.spelling} has no member {member}"
            return
        kind = _stored(fields[member].type)
    if pragma.name in ("array_partition", "array_reshape", "bind_storage"):
        rank = _rank(kind)
        dim = pragma.arguments.get("dim")
        if rank == 0 and kind.kind.name != "POINTER":
            yield f"{'.'.join(path)} is no array"
        elif dim and dim[0].spelling.isdigit() and len(dim) == 1 and rank and int(dim[0].spelling) > rank:
            yield f"dim = {dim[0].spelling}: {'.'.join(path)} has {rank} dimensions"


def _stored(kind):
    """The type itself, behind names and references."""
    kind = kind.get_canonical()
    return kind.get_pointee().get_canonical() if kind.kind.name == "LVALUEREFERENCE" else kind


def _rank(kind):
    rank, arrays = 0, ("CONSTANTARRAY", "DEPENDENTSIZEDARRAY", "INCOMPLETEARRAY")
    while kind.kind.name in arrays:
        rank, kind = rank + 1, kind.element_type.get_canonical()
    return rank


def lines(unit, path):
    """Tokens of each preprocessor line `#pragma …`, without `#` and `pragma`."""
    continued = {
        number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line.endswith("\\")
    }
    found, last = [], 0
    for token in cpp.tokens(unit, path):
        line = token.location.line
        if token.spelling == "#" and token.kind.name == "PUNCTUATION" and line != last:
            found.append([])
        if found and (token.spelling == "#" or line == last or last in continued):
            found[-1].append(token)
            last = line
    return [line[2:] for line in found if len(line) > 1 and line[1].spelling == "pragma"]


def placed(unit, folder):
    """(path, pragma, site) of every good pragma inside a function of the engine's own files."""
    blocks, declared = {}, []
    for cursor, ancestors in cpp.walk(unit, folder):
        kind, local = cursor.kind.name, any(each.kind.name in cpp.FUNCTIONS for each in ancestors)
        if kind == "COMPOUND_STMT" and local:
            blocks.setdefault(cpp.path_of(cursor), []).append((cursor, ancestors))
        elif kind in ("VAR_DECL", "PARM_DECL", "TEMPLATE_NON_TYPE_PARAMETER"):
            holders = [each for each in ancestors if each.kind.name != "DECL_STMT"]
            declared.append((cursor, holders[-1].hash if local else None, cursor.location.offset))
    for path, inside in blocks.items():
        for words in lines(unit, path):
            at = words[0].location.offset
            around = [each for each in inside if each[0].extent.start.offset < at < each[0].extent.end.offset]
            if words[0].spelling != "HLS" or not around:
                continue
            try:
                pragma = directive(words[1:])
            except PragmaError:
                continue  # a line that is wrong wherever it stands
            yield path, pragma, _site(*around[-1], pragma.offset, declared)


def _site(block, ancestors, offset, declared):
    """The surroundings of a pragma in `block`: declarations of an enclosing block or of the namespace, above it."""
    function = next(each for each in reversed(ancestors) if each.kind.name in cpp.FUNCTIONS)
    around = {each.hash for each in (*ancestors, block)}
    names = {
        cursor.spelling: cursor
        for cursor, holder, at in declared
        if holder is None or (holder in around and at < offset)
    }
    ports = {each.spelling for each in function.get_children() if each.kind.name == "PARM_DECL"}
    return Site(function, ancestors[-1], block, names, ports)
