"""Is the engine's C++ inside the subset that an HLS compiler takes? Exit code 1, and a line for each violation.

    python -m hls.lint.rules             # hls/src
    python -m hls.lint.rules FOLDER      # other sources

The subset (STYLE.md, HLS C++): plain arrays, templates and native integers; no heap, recursion, virtuals, exceptions,
standard library, floating point or lambdas; every loop a labelled `for` with a static bound, or with a
loop_tripcount that says it; pointers are memory ports and names for places in them. libclang reads the sources as the
board's compiler sees them and as the co-simulation does. cosim.cpp and what lies in cpu/ are the co-simulation's own,
and so is the shim where __SYNTHESIS__ is not defined: not looked at, and never seen by synthesis.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from clang.cindex import Diagnostic

from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.cosim import ROOT, SOURCES
from hls.lint import cpp
from hls.lint.loops import for_parts, has_static_bound, loops
from hls.lint.pragmas import PragmaError, directive, lines, placed, problems

SHIM, STATE, CPU = "shim.hpp", "DDI_STATE", "cpu"
FIXED_WIDTH = {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)}
HEAP = {"malloc", "calloc", "realloc", "free", "alloca", "aligned_alloc", "operator new", "operator delete"}
FLOATS = {"FLOAT", "DOUBLE", "LONGDOUBLE", "HALF", "FLOAT128"}
FORBIDDEN = {
    "CXX_NEW_EXPR": ("heap", "new takes from the heap: use a static array"),
    "CXX_DELETE_EXPR": ("heap", "delete gives to the heap: use a static array"),
    "CXX_THROW_EXPR": ("exception", "throw: return a status"),
    "CXX_TRY_STMT": ("exception", "try: return a status"),
    "GOTO_STMT": ("goto", "goto: write a loop or a condition"),
    "INDIRECT_GOTO_STMT": ("goto", "goto: write a loop or a condition"),
    "ASM_STMT": ("goto", "assembly: write C++"),
    "CXX_DYNAMIC_CAST_EXPR": ("virtual", "dynamic_cast needs virtual functions: use a template"),
    "CXX_TYPEID_EXPR": ("virtual", "typeid needs virtual functions: use a template"),
    "CXX_REINTERPRET_CAST_EXPR": ("pointer", "reinterpret_cast: take numbers apart by shifts"),
    "CXX_CONST_CAST_EXPR": ("pointer", "const_cast: pass what may be written as such"),
    "LAMBDA_EXPR": ("lambda", "a lambda: write a function"),
    "FLOATING_LITERAL": ("float", "a floating-point number: use fixed point"),
}
DECLARATIONS = ("VAR_DECL", "FIELD_DECL", "PARM_DECL")
NAMING = ("DECL_REF_EXPR", "TYPE_REF", "TEMPLATE_REF", "CALL_EXPR", "MEMBER_REF_EXPR", "OVERLOADED_DECL_REF")


class Violation(NamedTuple):
    path: Path
    line: int
    rule: str
    what: str

    def __str__(self):
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.rule}: {self.what}"


def check(folder=SOURCES):
    """Violations in the sources under `folder`, in order, each once though several views see it."""
    folder, found, seen_pragmas = Path(folder).resolve(), set(), set()
    units = [(unit, flags) for flags in cpp.VIEWS for unit in _units(folder, flags)]
    for unit, flags in units:
        found |= set(_in_unit(unit, folder, flags, seen_pragmas))
    for path in _files(folder):
        unit = next(unit for unit, _ in units if unit.get_file(str(path)))
        found |= set(_in_text(unit, path, seen_pragmas))
    return sorted(found)


def _files(folder):
    return [path for path in sorted(folder.rglob("*.[ch]pp")) if not is_simulation(path)]


def is_simulation(path, synthesis=True):
    """Is the file the co-simulation's own, in this view of the sources?"""
    return path.name == "cosim.cpp" or path.parent.name == CPU or (path.name == SHIM and not synthesis)


def _units(folder, flags):
    """The .cpp files, and the headers that none of them includes."""
    rest = set()
    for path in sorted(_files(folder), key=lambda path: path.suffix != ".cpp"):
        if path not in rest:
            unit = cpp.parse(path, flags)
            rest |= {Path(each.include.name).resolve() for each in unit.get_includes()}
            yield unit


def _at(cursor, rule, what):
    return Violation(cpp.path_of(cursor), cursor.location.line, rule, what)


def _in_unit(unit, folder, flags, seen_pragmas):
    """Violations in one view of a unit; a pragma is judged by the first view that has it, synthesis before others."""
    synthesis = flags == cpp.SYNTHESIS
    yield from _diagnostics(unit)
    yield from _includes(unit, folder, synthesis)
    calls = {}
    for cursor, ancestors in cpp.walk(unit, folder):
        if cursor.kind.name in cpp.FUNCTIONS and cursor.is_definition():
            calls[_key(cursor)] = cursor, set()
        if cursor.kind.name in ("CALL_EXPR", "OVERLOADED_DECL_REF"):
            inside = [each for each in ancestors if each.kind.name in cpp.FUNCTIONS]
            if inside:
                calls[_key(inside[-1])][1].update(map(_key, cpp.named(cursor)))
        if not is_simulation(cpp.path_of(cursor), synthesis):
            yield from _statement(cursor, ancestors, folder)
    yield from _recursion(calls)
    bounded = set()  # loops with a loop_tripcount
    for path, pragma, site in placed(unit, folder):
        known, here = len(seen_pragmas), (path, pragma.line)
        seen_pragmas.add(here)
        if len(seen_pragmas) > known and not is_simulation(path, synthesis):
            yield from (Violation(*here, "pragma", what) for what in problems(pragma, site))
        if pragma.name == "loop_tripcount":
            bounded.add(site.owner.hash)
    own = [loop for loop in loops(unit, folder) if not is_simulation(cpp.path_of(loop.cursor), synthesis)]
    yield from _loops(own, bounded)


def _diagnostics(unit):
    for each in unit.diagnostics:
        if each.severity >= Diagnostic.Error:
            path = Path(each.location.file.name if each.location.file else unit.spelling).resolve()
            rule = "label" if each.spelling.startswith("redefinition of label") else "parse"
            yield Violation(path, each.location.line, rule, f"{each.spelling}: make it compile")


def _includes(unit, folder, synthesis):
    for each in unit.get_includes():
        source, included = Path(each.source.name).resolve(), Path(each.include.name).resolve()
        if not source.is_relative_to(folder) or is_simulation(source, synthesis) or included.name == "cstdint":
            continue
        if synthesis and is_simulation(included):
            what = f"includes {included.name}, which is the co-simulation's own: keep it from synthesis"
            yield Violation(source, each.location.line, "library", what)
        elif not included.is_relative_to(folder):
            what = f"includes <{included.name}>: only <cstdint>, or the co-simulation's part of {SHIM}"
            yield Violation(source, each.location.line, "library", what)


def _statement(cursor, ancestors, folder):
    """Whatever one declaration or statement breaks."""
    kind = cursor.kind.name
    if kind in FORBIDDEN:
        yield _at(cursor, *FORBIDDEN[kind])
    if kind in NAMING:
        yield from _foreign(cursor, folder)
    if kind in cpp.FUNCTIONS:
        yield from _function(cursor)
    elif kind == "CXX_BASE_SPECIFIER" and any(token.spelling == "virtual" for token in cursor.get_tokens()):
        yield _at(cursor, "virtual", "a virtual base: use a member")
    elif kind in DECLARATIONS:
        yield from _declaration(cursor, ancestors)
    elif _moves_pointer(cursor):
        yield _at(cursor, "pointer", "a pointer is changed: index it, or name the new place by another one")
    elif cursor.kind.is_expression() and cursor.type.get_canonical().kind.name in FLOATS:
        yield _at(cursor, "float", f"{cursor.type.spelling}: use fixed point")


def _foreign(cursor, folder):
    """Names from outside the engine: of the standard library, of the system, of the compiler."""
    for named in cpp.named(cursor):
        foreign = named.location.file is not None and not cpp.in_folder(named, folder)
        if named.spelling in HEAP and (foreign or named.location.file is None):
            yield _at(cursor, "heap", f"{named.spelling} uses the heap: use a static array")
        elif (foreign and named.spelling not in FIXED_WIDTH) or named.spelling.startswith("__"):
            yield _at(cursor, "library", f"{named.spelling} is not the engine's own: write it for native integers")


def _function(cursor):
    if cursor.kind.name == "CXX_METHOD" and cursor.is_virtual_method():
        yield _at(cursor, "virtual", f"{cursor.spelling} is virtual: use a template")
    result = cursor.result_type.get_canonical()
    if result.kind.name in FLOATS:
        yield _at(cursor, "float", f"{cursor.spelling} returns {result.spelling}: use fixed point")
    if result.kind.name == "POINTER":
        yield _at(cursor, "pointer", f"{cursor.spelling} returns a pointer: return an index")


def _declaration(cursor, ancestors):
    element, is_array = cursor.type.get_canonical(), False
    if element.kind.name == "LVALUEREFERENCE":
        element = element.get_pointee()
    while "ARRAY" in element.kind.name:
        if element.kind.name in ("VARIABLEARRAY", "INCOMPLETEARRAY") and cursor.kind.name != "PARM_DECL":
            yield _at(cursor, "array", f"{cursor.spelling} has no constant size: give it its largest")
        element, is_array = element.element_type.get_canonical(), True
    if element.kind.name in FLOATS:
        yield _at(cursor, "float", f"{cursor.spelling} is {element.spelling}: use fixed point")
    if element.kind.name in ("POINTER", "MEMBERPOINTER"):
        yield from _pointer(cursor, element, is_array)
    if cursor.kind.name == "VAR_DECL" and not cursor.type.get_canonical().is_const_qualified():
        is_global = not any(each.kind.name in cpp.FUNCTIONS for each in ancestors)
        if (is_global or cursor.storage_class.name == "STATIC") and not _is_state(cursor):
            yield _at(cursor, "global", f"{cursor.spelling} outlives its function: make it const, or {STATE}")


def _is_state(cursor):
    """Does the declaration begin with the shim's macro?"""
    at = cursor.extent.start
    return Path(at.file.name).read_bytes()[at.offset :].startswith(STATE.encode())


def _pointer(cursor, kind, is_array):
    """Parameters may be pointers, and locals that stay where they are."""
    target = kind.get_pointee().get_canonical().kind.name
    if target in ("FUNCTIONPROTO", "FUNCTIONNOPROTO") or kind.kind.name == "MEMBERPOINTER":
        yield _at(cursor, "pointer", f"{cursor.spelling} points to a function or member: use a template or a switch")
    elif target == "POINTER" or is_array:
        yield _at(cursor, "pointer", f"{cursor.spelling} leads to other pointers: use arrays and indices")
    elif cursor.kind.name == "FIELD_DECL":
        yield _at(cursor, "pointer", f"{cursor.spelling} is a pointer in a structure: keep an index")
    elif cursor.kind.name == "VAR_DECL" and cpp.initializer(cursor) is None:
        yield _at(cursor, "pointer", f"{cursor.spelling} points nowhere yet: say the place where it is declared")


def _moves_pointer(cursor):
    """Is a pointer assigned or counted up? Where the variable's own address is taken, it could be."""
    named = cpp.changed(cursor)
    return named is not None and named.type.get_canonical().kind.name == "POINTER"


def _key(function):
    """A function, or the template that it is made from: where its name stands."""
    at = (function.get_definition() or function).location
    return at.file and at.file.name, at.offset


def _recursion(calls):
    """Functions that call themselves, directly or through others."""
    edges = {key: called for key, (_, called) in calls.items()}
    for key, (cursor, _) in calls.items():
        reached, fresh = set(), edges[key]
        while fresh:
            reached |= fresh
            fresh = set().union(*(edges.get(each, set()) for each in fresh)) - reached
        if key in reached:
            yield _at(cursor, "recursion", f"{cursor.spelling} calls itself: write a loop")


def _loops(found, bounded):
    for loop in found:
        cursor = loop.cursor
        if cursor.kind.name != "FOR_STMT":
            yield _at(cursor, "loop", "write a `for` with a label and a static bound")
            continue
        if not loop.label:
            yield _at(cursor, "loop", "no label: put one before it, Like_this:")
        if loop.body.kind.name != "COMPOUND_STMT":
            yield _at(cursor, "loop", "no braces: a pragma would find no place")
        _, condition, _ = for_parts(cursor)
        if condition is None or not (cursor.hash in bounded or has_static_bound(loop)):
            yield _at(cursor, "loop", "no static bound: compare its counter with a constant, or add loop_tripcount")


def _in_text(unit, path, seen_pragmas):
    """What holds for a file whatever the preprocessor takes of it."""
    for token in cpp.tokens(unit, path):
        if token.spelling == "__SYNTHESIS__" and path.name != SHIM:
            yield Violation(path, token.location.line, "macro", f"__SYNTHESIS__: only {SHIM} may ask for it")
        if token.spelling == "_Pragma":
            yield Violation(path, token.location.line, "pragma", "_Pragma: write a #pragma line")
    for words in lines(unit, path):
        first = words[0]
        if first.spelling == "once" or (first.spelling == "GCC" and path.name == SHIM):
            continue
        line = first.location.line
        if first.spelling != "HLS":
            yield Violation(path, line, "pragma", f"#pragma {first.spelling}: only HLS and once")
            continue
        try:
            directive(words[1:])
        except PragmaError as error:
            yield Violation(path, line, "pragma", str(error))
            continue
        if (path, line) not in seen_pragmas:
            yield Violation(path, line, "pragma", "stands outside every function: put it inside what it governs")


def main(argv=None):
    """Exit code 0, 1 with a line for each violation, or 2 for a folder without sources."""
    parser = Parser(prog="python -m hls.lint.rules", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SOURCES, help="sources (default: hls/src)")
    folder = parser.parse_args(argv).folder
    return guarded("rules", lambda: _show(folder), "interrupted")


def _show(folder):
    if not folder.is_dir() or not _files(folder):
        print(f"rules: no C++ sources in {folder}: expected a folder like hls/src", file=sys.stderr)
        return 2
    violations = check(folder)
    print(*violations, sep="\n", end="\n" if violations else "")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
