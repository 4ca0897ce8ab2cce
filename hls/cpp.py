"""The engine's C++ as libclang reads it: views of the sources, their loops, their constants and their tokens.

    unit = parse(SOURCES / "engine.cpp", SYNTHESIS)
    for cursor, ancestors in walk(unit): ...          # declarations and statements of the engine's own files

hls/rules.py checks the subset of the language with it, hls/trips.py counts iterations. libclang comes from PyPI; the
system's headers are those of g++, which the co-simulation is built with.
"""

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clang import cindex
from clang.cindex import CursorKind, TokenKind

from hls.cosim import SOURCES, compiler

STANDARD = "-std=c++14"
SYNTHESIS = ("-D__SYNTHESIS__",)
VIEWS = (SYNTHESIS, (), ("-DDDI_CHIP=1",))  # what a board's compiler sees, the co-simulation, the chip's shape of it
FUNCTIONS = (CursorKind.FUNCTION_DECL, CursorKind.FUNCTION_TEMPLATE, CursorKind.CXX_METHOD, CursorKind.CONSTRUCTOR,
             CursorKind.DESTRUCTOR, CursorKind.CONVERSION_FUNCTION)  # fmt: skip
LOOPS = (CursorKind.FOR_STMT, CursorKind.WHILE_STMT, CursorKind.DO_STMT, CursorKind.CXX_FOR_RANGE_STMT)
_REFERENCES = (CursorKind.TYPE_REF, CursorKind.NAMESPACE_REF, CursorKind.TEMPLATE_REF)
_TRANSPARENT = (CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR)
_LITERALS = (CursorKind.INTEGER_LITERAL, CursorKind.CHARACTER_LITERAL, CursorKind.CXX_BOOL_LITERAL_EXPR)
_COMPOSED = (*_TRANSPARENT, CursorKind.BINARY_OPERATOR, CursorKind.CONDITIONAL_OPERATOR, CursorKind.INIT_LIST_EXPR,
             CursorKind.CSTYLE_CAST_EXPR, CursorKind.CXX_FUNCTIONAL_CAST_EXPR, CursorKind.CXX_STATIC_CAST_EXPR)  # fmt: skip


@dataclass(frozen=True)
class Loop:
    """A loop with its label, "" without one; `function` is the cursor of the function it stands in."""

    function: cindex.Cursor
    label: str
    cursor: cindex.Cursor

    @property
    def name(self):
        """Function::Label, as hls/isa.toml names loops."""
        return f"{self.function.spelling}::{self.label}"

    @property
    def body(self):
        return children(self.cursor)[-1 if self.cursor.kind != CursorKind.DO_STMT else 0]


def parse(path, flags=()):
    """Translation unit of the C++ file `path`; its diagnostics say whether it compiles."""
    arguments = [STANDARD, "-x", "c++", "-nostdinc", "-nostdinc++", *flags]
    arguments += [f"-isystem{folder}" for folder in system_headers()]
    return cindex.Index.create().parse(
        str(path), args=arguments, options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
    )


@functools.lru_cache(maxsize=1)
def system_headers():
    """The folders in which the compiler looks for <headers>, in its order."""
    command = [compiler(), "-E", "-x", "c++", "-v", "/dev/null"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    first = lines.index("#include <...> search starts here:") + 1
    return tuple(line.strip() for line in lines[first : lines.index("End of search list.")])


def walk(unit, folder=SOURCES):
    """(cursor, ancestors) of everything that stands in files under `folder`, in the order of the source."""
    for cursor in unit.cursor.get_children():
        if in_folder(cursor, folder):
            yield from _walk(cursor, ())


def _walk(cursor, ancestors):
    yield cursor, ancestors
    below = (*ancestors, cursor)
    for child in cursor.get_children():
        yield from _walk(child, below)


def in_folder(cursor, folder):
    """Does `cursor` stand in a file under `folder`?"""
    file = cursor.location.file
    return file is not None and Path(file.name).resolve().is_relative_to(folder)


def tokens(unit, path):
    """Every token of the file `path`, also where the preprocessor skips it; comments are left out."""
    file = unit.get_file(str(path))
    ends = [cindex.SourceLocation.from_offset(unit, file, at) for at in (0, len(Path(path).read_bytes()))]
    found = unit.get_tokens(extent=cindex.SourceRange.from_locations(*ends))
    return [token for token in found if token.kind != TokenKind.COMMENT]


def loops(unit, folder=SOURCES):
    """Every loop in the functions of the engine's own files."""
    found = []
    for cursor, ancestors in walk(unit, folder):
        if cursor.kind in LOOPS:
            function = next((each for each in reversed(ancestors) if each.kind in FUNCTIONS), None)
            parent = ancestors[-1]
            label = parent.spelling if parent.kind == CursorKind.LABEL_STMT else ""
            if function is not None:
                found.append(Loop(function, label, cursor))
    return found


def children(cursor):
    return list(cursor.get_children())


def operator(cursor):
    """Spelling of a unary or binary operator: of the first token that belongs to no operand."""
    inside = [(child.extent.start.offset, child.extent.end.offset) for child in cursor.get_children()]
    for token in cursor.get_tokens():
        at = token.extent.start.offset
        if token.kind == TokenKind.PUNCTUATION and not any(start <= at < end for start, end in inside):
            return token.spelling
    return ""


def bare(cursor):
    """The expression without parentheses and implicit conversions."""
    while cursor.kind in _TRANSPARENT and len(children(cursor)) == 1:
        cursor = children(cursor)[0]
    return cursor


def initializer(declaration):
    """The expression that a variable starts with, or None."""
    if "=" not in (words := [token.spelling for token in declaration.get_tokens()]) and "{" not in words:
        return None
    parts = [child for child in declaration.get_children() if child.kind.is_expression()]
    return parts[-1] if parts else None


def is_constant(cursor):
    """Is this integer expression known when the source is compiled?"""
    kind, parts = cursor.kind, [part for part in cursor.get_children() if part.kind not in _REFERENCES]
    if kind in _LITERALS or kind == CursorKind.CXX_UNARY_EXPR:  # the latter is sizeof
        return True
    if kind == CursorKind.DECL_REF_EXPR:
        return _is_constant_name(cursor.referenced)
    if kind == CursorKind.UNARY_OPERATOR:
        return operator(cursor) in ("-", "+", "~", "!") and is_constant(parts[0])
    if kind == CursorKind.CALL_EXPR:
        called = cursor.referenced
        return called is not None and is_constexpr(called) and all(map(is_constant, cursor.get_arguments()))
    return kind in _COMPOSED and bool(parts) and all(map(is_constant, parts))


def _is_constant_name(named):
    if named is None:
        return False
    if named.kind in (CursorKind.ENUM_CONSTANT_DECL, CursorKind.TEMPLATE_NON_TYPE_PARAMETER):
        return True
    if named.kind != CursorKind.VAR_DECL or not named.type.is_const_qualified():
        return False
    value = initializer(named)
    return value is not None and is_constant(value)


def is_constexpr(function):
    """Is the function declared constexpr?"""
    head = (token.spelling for token in function.get_tokens())
    for word in head:
        if word in ("{", ";"):
            return False
        if word == "constexpr":
            return True
    return False


def for_parts(loop):
    """(initialisation, condition, step) of a `for`; None for a part that is empty."""
    cursors, parts, depth, part = children(loop)[:-1], [None, None, None], 0, 0
    for token in loop.get_tokens():
        at = token.extent.start.offset
        depth += {"(": 1, ")": -1}.get(token.spelling, 0)
        if token.spelling == ")" and depth == 0:
            break
        if token.spelling == ";" and depth == 1:
            part += 1
        elif parts[part] is None:
            # an initialisation's extent takes its semicolon in
            parts[part] = next((each for each in cursors if each.extent.start.offset == at), None)
    return tuple(parts)
