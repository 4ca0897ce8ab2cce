"""The engine's C++ as libclang reads it: views of the sources, their loops, their constants and their tokens.

    unit = parse(SOURCES / "engine.cpp", SYNTHESIS)
    for cursor, ancestors in walk(unit): ...          # declarations and statements of the engine's own files

rules.py checks the subset of the language with it, hls/estimate/ what the engine takes of the chip, hls/stress/trips.py
counts iterations. libclang comes from PyPI; the system's headers are those of g++, which the co-simulation is built
with.
"""

import functools
from pathlib import Path

from clang import cindex

from hls.command import tools
from hls.cosim import SOURCES, compiler

STANDARD = "-std=c++14"
SYNTHESIS = ("-D__SYNTHESIS__", "-DDDI_READ")  # read, not run: hls/src/shim.hpp
VIEWS = (SYNTHESIS, ("-DDDI_CHIP",), ())  # what a board's compiler sees, and the co-simulation in both shapes
FUNCTIONS = ("FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR",
             "DESTRUCTOR", "CONVERSION_FUNCTION")  # fmt: skip
_CHANGING = ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR", "UNARY_OPERATOR")
_REFERENCES = ("TYPE_REF", "NAMESPACE_REF", "TEMPLATE_REF")
_TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR")
_LITERALS = ("INTEGER_LITERAL", "CHARACTER_LITERAL", "CXX_BOOL_LITERAL_EXPR")
_COMPOSED = (*_TRANSPARENT, "BINARY_OPERATOR", "CONDITIONAL_OPERATOR", "INIT_LIST_EXPR",
             "CSTYLE_CAST_EXPR", "CXX_FUNCTIONAL_CAST_EXPR", "CXX_STATIC_CAST_EXPR")  # fmt: skip


def parse(path, flags=()):
    """Translation unit of the C++ file `path`; its diagnostics say whether it compiles."""
    arguments = [STANDARD, "-x", "c++", "-nostdinc", "-nostdinc++", *flags]
    arguments += [f"-isystem{folder}" for folder in system_headers()]
    return cindex.Index.create().parse(str(path), args=arguments)


@functools.lru_cache(maxsize=1)
def system_headers():
    """The folders in which the compiler looks for <headers>, in its order."""
    command = [compiler(), "-E", "-x", "c++", "-v", "/dev/null"]
    lines = tools.run(command).stderr.splitlines()  # in English, whatever the user's locale
    first = lines.index("#include <...> search starts here:") + 1
    return tuple(line.strip() for line in lines[first : lines.index("End of search list.")])


@functools.lru_cache(maxsize=4)  # of the last units: each is asked for much
def walk(unit, folder=SOURCES):
    """(cursor, ancestors) of everything that stands in files under `folder`, in the order of the source."""
    outermost = [cursor for cursor in unit.cursor.get_children() if in_folder(cursor, folder)]
    return tuple(found for cursor in outermost for found in _walk(cursor, ()))


def _walk(cursor, ancestors):
    yield cursor, ancestors
    below = (*ancestors, cursor)
    for child in cursor.get_children():
        if child.location.file is not None:  # else it is the compiler's own, such as a copy
            yield from _walk(child, below)


def in_folder(cursor, folder):
    """Does `cursor` stand in a file under `folder`?"""
    return cursor.location.file is not None and path_of(cursor).is_relative_to(folder)


def path_of(cursor):
    """The file that `cursor` stands in."""
    return _resolved(cursor.location.file.name)


def name_of(cursor, folder=SOURCES):
    """The same as a path below `folder`: chip/layer.hpp."""
    return path_of(cursor).relative_to(folder).as_posix()


@functools.cache
def _resolved(name):
    return Path(name).resolve()


def tokens(unit, path):
    """Every token of the file `path`, also where the preprocessor skips it; comments are left out."""
    file = unit.get_file(str(path))
    ends = [cindex.SourceLocation.from_offset(unit, file, at) for at in (0, len(Path(path).read_bytes()))]
    found = unit.get_tokens(extent=cindex.SourceRange.from_locations(*ends))
    return [token for token in found if token.kind.name != "COMMENT"]


def children(cursor):
    return list(cursor.get_children())


def named(cursor):
    """The declarations that an expression may name: several where a template leaves an overloaded call open."""
    if cursor.kind.name == "OVERLOADED_DECL_REF":
        count = cindex.conf.lib.clang_getNumOverloadedDecls(cursor)
        return [cindex.conf.lib.clang_getOverloadedDecl(cursor, index) for index in range(count)]
    return [] if cursor.referenced is None else [cursor.referenced]


def operator(cursor):
    """Spelling of a unary or binary operator: of the first token that belongs to no operand."""
    inside = [(child.extent.start.offset, child.extent.end.offset) for child in cursor.get_children()]
    for token in cursor.get_tokens():
        at = token.extent.start.offset
        if token.kind.name == "PUNCTUATION" and not any(start <= at < end for start, end in inside):
            return token.spelling
    return ""


def bare(cursor):
    """The expression without parentheses and implicit conversions."""
    while cursor.kind.name in _TRANSPARENT and len(children(cursor)) == 1:
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
    kind, parts = cursor.kind.name, [part for part in cursor.get_children() if part.kind.name not in _REFERENCES]
    if kind in _LITERALS or kind == "CXX_UNARY_EXPR":  # the latter is sizeof
        return True
    if kind == "DECL_REF_EXPR":
        return is_constant_name(cursor.referenced)
    if kind == "UNARY_OPERATOR":
        return operator(cursor) in ("-", "+", "~", "!") and is_constant(parts[0])
    if kind == "CALL_EXPR":
        called = cursor.referenced
        return called is not None and is_constexpr(called) and all(map(is_constant, cursor.get_arguments()))
    return kind in _COMPOSED and bool(parts) and all(map(is_constant, parts))


def is_constant_name(named):
    """Does the declaration `named` stand for a number that is known when the source is compiled?"""
    if named is None:
        return False
    if named.kind.name in ("ENUM_CONSTANT_DECL", "TEMPLATE_NON_TYPE_PARAMETER"):
        return True
    if named.kind.name != "VAR_DECL" or not named.type.is_const_qualified():
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


def changed(cursor):
    """The variable that an assignment, ++, -- or & changes or lets be changed; None for other expressions."""
    if cursor.kind.name not in _CHANGING:
        return None
    sign, parts = operator(cursor), children(cursor)
    unary = cursor.kind.name == "UNARY_OPERATOR" and sign in ("++", "--", "&")
    if not (unary or cursor.kind.name == "COMPOUND_ASSIGNMENT_OPERATOR" or sign == "="):
        return None
    left = bare(parts[0])
    return left.referenced if left.kind.name == "DECL_REF_EXPR" else None
