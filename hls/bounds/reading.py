"""Read the text of LLVM IR as clang prints it.

    module = parse(text)

Read are the instructions that integer C++ without exceptions becomes. What is not known raises BoundsError by name, so
that nothing is left out of a bound in silence.
"""

import re

from hls.bounds.ir import BINARY, CASTS, Block, BoundsError, Function, Instruction, Module, matched, split

_FLAGS = {"nuw", "nsw", "exact", "inbounds", "nneg", "disjoint", "samesign", "tail", "musttail", "notail", "volatile"}
_NAME = r'[%@](?:"[^"]*"|[\w.$-]+)'
_RESULT = re.compile(rf"({_NAME}) = (.*)")
_LABEL = re.compile(r'^("[^"]*"|[\w.$-]+):')
_LOCATION = re.compile(r", !dbg !(\d+)")
_LOOP = re.compile(r", !llvm\.loop !(\d+)")


def parse(text):
    """The Module of a .ll file's text."""
    text = re.sub(r"\[\n(.*?)\n\s*\]", lambda cases: f"[ {' '.join(cases.group(1).split())} ]", text, flags=re.S)
    module = Module({}, {}, {}, {}, {})
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("define"):
            function = _function(line, lines)
            module.functions[function.name] = function
        elif kind := re.match(rf"({_NAME}) = type (.*)", line):
            module.types[kind.group(1)] = kind.group(2)
        elif found := re.match(rf"({_NAME}) = (.*?)\b(global|constant) (.*)", line):
            kind = split(_type_and_rest(found.group(4))[0])[0]
            (module.tables if found.group(3) == "constant" else module.globals)[found.group(1)] = kind
        elif metadata := re.match(r"!(\d+) = (.*)", line):
            module.metadata[metadata.group(1)] = metadata.group(2)
    return module


def _type_and_rest(text):
    """A type at the start of `text`, and what follows."""
    text = text.strip()
    if text[0] in "[{<":
        depth = 0
        for at, sign in enumerate(text):
            depth += (sign in "[{<(") - (sign in "]}>)")
            if depth == 0:
                return text[: at + 1], text[at + 1 :].strip()
    found = re.match(rf"({_NAME}|[\w]+)\s*(.*)", text, re.S)
    if not found:
        raise BoundsError(f"no type at {text[:60]!r}")
    return found.group(1), found.group(2)


def _function(head, lines):
    (name,) = matched(r"define .*?@(\"[^\"]*\"|[\w.$-]+)\(.*", head)
    arguments = re.findall(r"(%[\w.$-]+)(?=,|\))", head[head.index("(") :])
    blocks, block = {}, None
    for line in lines:
        if line == "}":
            break
        label = _LABEL.match(line)
        if label or block is None:
            block = Block(label.group(1).strip('"') if label else "entry", [])
            blocks[block.name] = block
            if label:
                continue
        if line.strip() and not line.lstrip().startswith(";"):
            instruction = _instruction(line.strip())
            instruction.block = block.name
            block.instructions.append(instruction)
    for block in blocks.values():
        block.successors = list(dict.fromkeys(block.end.labels))
        for each in block.successors:
            blocks[each].predecessors.append(block.name)
    return Function(name, arguments, blocks)


def _instruction(line):
    place, loop = _LOCATION.search(line), _LOOP.search(line)
    line = re.sub(r",? ![\w.]+ !\d+", "", line)
    line = re.sub(r",? #\d+(?= |$)", "", line)
    result = _RESULT.match(line)
    name, body = result.groups() if result else ("", line)
    words = body.split(" ")
    op = next(word for word in words if word not in ("tail", "musttail", "notail"))
    rest = body[body.index(op) + len(op) :].strip()
    flags = set()
    while rest.split(" ")[0] in _FLAGS:
        word, _, rest = rest.partition(" ")
        flags.add(word)
    reader = _READERS.get(op) or (_binary if op in BINARY else _cast if op in CASTS else None)
    if reader is None:
        raise BoundsError(f"instruction {op} of the IR is not known to hls/bounds/ir.py: {line[:100]}")
    made = reader(rest)
    made.name, made.op, made.flags = name, op, frozenset(flags)
    made.place, made.loop = place.group(1) if place else "", loop.group(1) if loop else ""
    return made


def _made(kind="void", operands=(), **more):
    return Instruction("", "", kind, list(operands), **more)


def _typed(text):
    """(type, value) of a typed operand; attributes between them are dropped."""
    kind, value = _type_and_rest(text)
    while re.match(
        r"(noundef|nonnull|nocapture|readonly|writeonly|align \d+|dereferenceable\(\d+\)|noalias|immarg) ", value
    ):
        value = re.sub(r"^(align \d+|\w+(\(\d+\))?) ", "", value)
    return kind, value


def _binary(rest):
    first, second = split(rest)
    kind, value = _typed(first)
    return _made(kind, [value, second])


def _cast(rest):
    source, target = matched(r"(.*?)(?: to (\S+))?", rest)
    kind, value = _typed(source)
    return _made(target or kind, [value])


def _icmp(rest):
    predicate, _, rest = rest.partition(" ")
    if predicate == "samesign":
        predicate, _, rest = rest.partition(" ")
    first, second = split(rest)
    kind, value = _typed(first)
    return _made("i1", [value, second], detail=f"{predicate} {kind}")


def _select(rest):
    parts = [_typed(part) for part in split(rest)]
    return _made(parts[1][0], [value for _, value in parts])


def _phi(rest):
    kind, rest = _type_and_rest(rest)
    pairs = [split(part[1:-1]) for part in split(rest)]
    return _made(kind, [value for value, _ in pairs], labels=[label[1:].strip('"') for _, label in pairs])


def _load(rest):
    kind, pointer = split(rest)[:2]
    return _made(kind, [_typed(pointer)[1]])


def _store(rest):
    value, pointer = split(rest)[:2]
    kind, value = _typed(value)
    return _made(kind, [value, _typed(pointer)[1]])


def _address(rest):
    parts = split(rest)
    return _made("ptr", [_typed(part)[1] for part in parts[1:]], detail=parts[0])


def _call(rest):
    found = re.match(r"(?:\w+ )*?(void|i\d+|ptr|{.*?})(?: \(.*?\))? @([\w.$\"-]+)\((.*)\)", rest)
    if not found:
        raise BoundsError(f"a call that is not known to hls/bounds/ir.py: {rest[:100]}")
    kind, callee, arguments = found.groups()
    values = [_typed(part)[1] for part in split(arguments) if not part.startswith("metadata")]
    return _made(kind, values, detail=callee)


def _branch(rest):
    condition = re.match(r"i1 (\S+),", rest)
    labels = [label.strip('"') for label in re.findall(r'label %("[^"]*"|[\w.$-]+)', rest)]
    return _made("void", [condition.group(1)] if condition else [], labels=labels)


def _switch(rest):
    kind, rest = _type_and_rest(rest)
    value = split(rest.partition("[")[0])[0]
    labels = [label.strip('"') for label in re.findall(r'label %("[^"]*"|[\w.$-]+)', rest)]
    return _made(kind, [value], labels=labels)


def _end(rest):
    return _made()


def _alloca(rest):
    return _made("ptr", detail=split(rest)[0])


def _extract(rest):
    return _made(split(rest)[-1], [_typed(split(rest)[0])[1]])


_READERS = {
    "icmp": _icmp, "select": _select, "phi": _phi, "load": _load, "store": _store, "getelementptr": _address,
    "call": _call, "br": _branch, "switch": _switch, "ret": _end, "unreachable": _end,
    "alloca": _alloca, "extractvalue": _extract, "insertvalue": _extract,
}  # fmt: skip
