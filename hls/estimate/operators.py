"""What the engine's operators take of the fabric: every operator in the sources, as often as it stands side by side.

    walk = Walk(unit, arrays).run()     # walk.use: (unit, resource) → amount; where it is, in walk.largest

The walk follows the calls from ddi_engine. A loop with `unroll`, and any loop inside a pipelined one, multiplies what
is in it; a call inside a pipelined loop is a copy of the function, outside it one instance serves all calls. Inside
these the widths of values follow from types, constants, masks and KNOWN ranges (values.py).
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from math import ceil, prod
from pathlib import Path

from hls.estimate import fabric, scopes, sharing, values
from hls.estimate.known import KNOWN
from hls.estimate.scopes import Place, Scope, Source
from hls.lint import cpp
from hls.lint.loops import LOOPS, for_parts
from hls.lint.pragmas import placed

TOP = "ddi_engine"
SUM_INPUTS = 5  # of a LUT of six, beside the other number's bit

_TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR")
_CASTS = ("CSTYLE_CAST_EXPR", "CXX_FUNCTIONAL_CAST_EXPR", "CXX_STATIC_CAST_EXPR")


@dataclass
class Walk:
    """The operators of a parsed engine.cpp; `arrays` are those of arrays.arrays."""

    parsed: object
    arrays: list
    folder: Path = cpp.SOURCES
    source: Source = field(default_factory=Source)
    use: Counter = field(default_factory=Counter)  # (unit, resource) → amount
    tables: dict = field(default_factory=dict)  # name → BRAM18 of a copy
    readers: Counter = field(default_factory=Counter)  # (unit, table) → reads a cycle
    ports: Counter = field(default_factory=Counter)  # (pipelined loop, array, memory, read or write) → accesses a cycle
    sources: dict = field(default_factory=dict)  # (pipelined loop, unit, array of registers) → element → statements
    largest: Counter = field(default_factory=Counter)  # (unit, what, file:line) → amount, for reports

    def run(self):
        """self, with everything that the top function reaches counted."""
        self.state = {array.path: array for array in self.arrays}
        self.functions = {
            each.get_usr(): each
            for each, _ in cpp.walk(self.parsed, self.folder)
            if each.kind.name in cpp.FUNCTIONS and each.is_definition()
        }
        self.constants = scopes.constants(self.parsed, self.folder)
        self.pragmas, self.in_fabric, self.pre_added = {}, set(), set()
        for _, pragma, site in placed(self.parsed, self.folder):
            self.pragmas.setdefault(site.owner.hash, {})[pragma.name] = pragma
            if pragma.name == "bind_op" and pragma.text("impl") == "fabric":
                self.in_fabric.add(site.names[pragma.text("variable")].hash)
            if pragma.name == "bind_op" and (pragma.text("op"), pragma.text("impl")) == ("add", "dsp"):
                self.pre_added.add(site.names[pragma.text("variable")].hash)
        self.called = set()
        top = next(each for each in self.functions.values() if each.spelling == TOP)
        self._function(top, Scope({}, {}))
        for where, lut in (*sharing.registers(self.sources, self.state), *sharing.memories(self.ports, self.state)):
            self.use[where[0], "lut"] += lut
            self.largest[where] += lut
        return self

    # ------------------------------------------------------------------------------------------- statements
    def _function(self, function, scope):
        if not scope.pipelined:
            if function.get_usr() in self.called:
                return  # one instance serves every call that waits for the last
            self.called.add(function.get_usr())
            apart = (
                "inline" in self.pragmas.get(function.hash, {}) and "off" in self.pragmas[function.hash]["inline"].words
            )
            names = (
                {each.hash: values.of_type(each.type) for each in function.get_arguments()} if apart else scope.names
            )
            scope = Scope(names, scope.places, (), False, scopes.unit_of(function, self.folder))
        scope = replace(scope, function=function.spelling)
        for child in function.get_children():
            if child.kind.name == "COMPOUND_STMT":
                self._statement(child, scope)

    def _statement(self, cursor, scope):
        kind = cursor.kind.name
        if kind in LOOPS:
            self._loop(cursor, scope)
        elif kind == "VAR_DECL":
            self._variable(cursor, scope)
        elif cursor.kind.is_expression():
            self._value(cursor, scope)
        elif kind == "IF_STMT":
            self._branches(list(cursor.get_children()), scope)
        else:
            for child in cursor.get_children():
                self._statement(child, scope)

    def _branches(self, parts, scope):
        """A condition, and one or two branches of which one runs: what accesses a memory in both takes turns.

        A constant leaves one of them.
        """
        condition = self._value(parts[0], scope)
        branches = _chosen(condition, parts[1:])
        before, taken = self.ports, []
        for branch in branches:
            self.ports = Counter()
            self._statement(branch, scope)
            taken.append(self.ports)
        self.ports = before
        self.ports.update(sharing.busier(taken))

    def _variable(self, cursor, scope):
        first, kind = self.source.initializer(cursor), cursor.type.get_canonical()
        if (sizes := scopes.queue(kind)) is not None:
            lut, ff = fabric.queue(*sizes)
            self._add(scope, "lut", lut, cursor, "queue")
            self._add(scope, "ff", ff, cursor, "queue")
            return
        if first is not None and kind.kind.name == "LVALUEREFERENCE":
            scope.places[cursor.hash] = self._place(first, scope)
            return
        inner = replace(scope, fabric=cursor.hash in self.in_fabric, pre_added=cursor.hash in self.pre_added)
        scope.places[cursor.hash] = Place(cursor, (), scope.loops)
        value = values.of_type(kind) if first is None else self._value(first, inner)
        if not kind.is_const_qualified():
            self._add(scope, "ff", scopes.register_bits(cursor.type, self.constants), cursor)
            value = scope.changed(scopes.width(cursor.type, self.constants) or values.of_type(kind))
        scope.names[cursor.hash] = value

    def _loop(self, cursor, scope):
        pragmas, body = self.pragmas.get(cursor.hash, {}), self.source.children(cursor)[-1]
        # a pragma's owner is the loop, whose body's block it stands in
        start, condition, _ = for_parts(cursor)
        counter = next((each for each in start.get_children() if each.kind.name == "VAR_DECL"), None) if start else None
        low, trips = self._trips(counter, condition, pragmas, scope)
        if counter is not None and ("unroll" in pragmas or scope.pipelined):
            value = values.counter(cursor.hash, low, trips)
            names, loops = {**scope.names, counter.hash: value}, (*scope.loops, value)
            self._statement(body, replace(scope, names=names, places=dict(scope.places), loops=loops))
            return
        inner = replace(scope, names=dict(scope.names), places=dict(scope.places), pipelined="pipeline" in pragmas,
                        loop=f"{cpp.name_of(cursor, self.folder)}:{cursor.location.line}")  # fmt: skip
        if counter is not None:
            inner.names[counter.hash] = values.span(low, low + trips - 1)
            self._add(inner, "ff", inner.names[counter.hash].bits, cursor)
            self._add(inner, "lut", inner.names[counter.hash].bits * 3 // 2, cursor)  # counts, and compares
        self._statement(body, inner)

    def _trips(self, counter, condition, pragmas, scope):
        """(first value, most iterations) of a `for`, from its own bounds or its loop_tripcount."""
        quiet = replace(scope, names=dict(scope.names), quiet=True)
        low = self._value(self.source.initializer(counter), quiet).low if counter is not None else 0
        bound = cpp.bare(condition)
        while self.source.operator(bound) == "&&":
            bound = cpp.bare(self.source.children(bound)[0])
        top = self._value(self.source.children(bound)[1], quiet)
        if top.static:
            return low, max(1, top.high - low)
        if "loop_tripcount" in pragmas:
            return low, scopes.evaluated(pragmas["loop_tripcount"].text("max"), self.constants)
        return low, max(1, top.high - low)

    # ------------------------------------------------------------------------------------------ expressions
    def _value(self, cursor, scope):
        """The Value of an expression; its operators are counted on the way."""
        kind, parts = cursor.kind.name, self.source.children(cursor)
        if kind in _TRANSPARENT and len(parts) == 1:
            return self._value(parts[0], scope)
        fixed = self.source.literal(cursor)
        if fixed is not None:
            return fixed
        if kind in _CASTS:
            return self._fit(self._value(parts[-1], scope), cursor.type)
        if kind == "DECL_REF_EXPR":
            return scope.names.get(cursor.referenced.hash) or values.of_type(cursor.type)
        if kind == "MEMBER_REF_EXPR":
            return values.depending(self._known(cursor), *(self._value(part, scope) for part in parts))
        if kind == "ARRAY_SUBSCRIPT_EXPR":
            return self._element(cursor, scope)
        if kind == "CALL_EXPR":
            return self._call(cursor, scope)
        if kind == "CONDITIONAL_OPERATOR":
            return self._choice(cursor, parts, scope)
        if kind == "UNARY_OPERATOR":
            return self._unary(cursor, parts[0], scope)
        if kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR") and len(parts) == 2:
            return self._binary(cursor, parts, scope)
        for part in parts:
            self._statement(part, scope)
        return values.of_type(cursor.type)

    def _known(self, cursor, kind=None):
        owner = cursor.referenced.semantic_parent.spelling if cursor.referenced else ""
        limits = KNOWN.get(f"{owner}.{cursor.spelling}")
        if limits:
            return values.span(*limits)
        typed = scopes.width(cursor.referenced.type, self.constants) if cursor.referenced else None
        return typed or values.of_type(kind or cursor.type)

    def _fit(self, value, kind):
        whole = scopes.width(kind, self.constants) or values.of_type(kind)
        fits = whole.low <= value.low and value.high <= whole.high
        return value if fits else values.depending(whole._replace(static=value.static), value)

    def _choice(self, cursor, parts, scope):
        condition = self._value(parts[0], scope)
        if len(chosen := _chosen(condition, parts[1:])) == 1:
            return self._value(chosen[0], scope)
        left, right = (self._value(part, scope) for part in parts[1:])
        if condition.static:
            return left if condition.low else right
        chosen = values.either(left, right)
        chosen = values.depending(chosen, condition, left, right)
        if not (left.static and right.static):
            before = [fabric.multiplexer(self._sources(part), chosen.bits) for part in parts[1:]]
            whole = fabric.multiplexer(self._sources(cursor), chosen.bits)
            self._add(scope, "lut", max(whole - sum(before), 0), cursor, "choice", chosen)
        return chosen

    def _take_in(self, parts, operands, scope):
        """A sum's LUTs take in the choice in front of one operand: with the other bit they have six inputs."""
        for part, value in zip(parts, operands):
            cursor, sources = cpp.bare(part), self._sources(part)
            numbers = sum(self.source.literal(each) is None for each in self._ends(part))
            if sources > 1 and numbers + (sources - 1).bit_length() <= SUM_INPUTS:
                self._add(scope, "lut", -fabric.multiplexer(sources, value.bits), cursor, "choice", value)
                return

    def _ends(self, cursor):
        """The numbers that an expression chooses between."""
        cursor = cpp.bare(cursor)
        if cursor.kind.name != "CONDITIONAL_OPERATOR":
            return [cursor]
        return [each for part in self.source.children(cursor)[1:] for each in self._ends(part)]

    def _sources(self, cursor):
        """How many they are: choices in one another are one multiplexer."""
        return len(self._ends(cursor))

    def _unary(self, cursor, part, scope):
        value, sign = self._value(part, scope), self.source.operator(cursor)
        if sign in ("++", "--"):
            self._add(scope, "lut", value.bits, cursor)
            return scope.changed(values.of_type(cursor.type))
        if sign == "-" and not value.static:
            self._add(scope, "lut", value.bits, cursor, on=value)
        if sign == "-":
            return values.combine(lambda a, b: b - a, value, values.one(0), cursor.type)
        return values.depending(values.span(0, 1), value) if sign == "!" else self._fit(value, cursor.type)

    def _binary(self, cursor, parts, scope):
        sign = self.source.operator(cursor)
        if sign == "=":
            value = self._value(parts[1], scope)
            self._write(cpp.bare(parts[0]), scope, self.source.literal(parts[1]) is not None)
            return value
        left, right = (self._value(part, scope) for part in parts)
        if cursor.kind.name == "COMPOUND_ASSIGNMENT_OPERATOR":
            typed = scopes.width(cpp.bare(parts[0]).referenced.type, self.constants) if left.static is False else None
            sign, left = sign[:-1], scope.changed(typed or values.of_type(cursor.type))
        result = scopes.result_of(sign, left, right, cursor.type)
        if not (left.static and right.static):
            self._operator(cursor, sign, (left, right, result), scope)
            if sign == "+" and not scope.pre_added:
                self._take_in(parts, (left, right), scope)
        return result if result.static else values.aligned(sign, left, right, result)

    def _operator(self, cursor, sign, operands, scope):
        """Count one operator that is not known when the loops are unrolled."""
        left, right, result = operands
        if sign in ("/", "%") and not right.static:
            self._divider(cursor, (left, right), scope)
            return
        if sign in ("+", "|") and scopes.side_by_side(left, right):
            return
        if sign == "+" and right.low >= 0 and right.high <= 1 and self._is_sum(cursor):
            return  # the carry into the sum on its left
        if sign == "+" and scope.pre_added and max(left.bits, right.bits) <= fabric.POST_ADDER:
            return
        lut, blocks = fabric.price(sign, left, right, result, scope.fabric)
        what = f"{left.bits} {sign} {right.bits} bits"
        self._add(scope, "lut", lut, cursor, what, result)
        self._add(scope, "dsp", blocks, cursor, what, result)
        if scope.pipelined and (lut or blocks):
            self._add(scope, "ff", ceil(result.bits / fabric.CHAINED), cursor, what, result)

    def _is_sum(self, cursor):
        """Whether the left operand is a sum itself."""
        left = self.source.children(cursor)[0]
        while left.kind.name in _TRANSPARENT:
            left = self.source.children(left)[0]
        return left.kind.name == "BINARY_OPERATOR" and self.source.operator(left) == "+"

    def _divider(self, cursor, operands, scope):
        """By subtraction: a bit a cycle in one stage, or, pipelined, a stage for every bit."""
        lut, ff = fabric.divider(*(operand.bits for operand in operands), scope.pipelined)
        on = values.depending(values.one(0), *operands)
        self._add(scope, "lut", lut, cursor, "divider", on)
        self._add(scope, "ff", ff, cursor, "divider", on)

    def _call(self, cursor, scope):
        arguments = [(each, self._value(each, scope)) for each in cursor.get_arguments()]
        function = self.functions.get(cursor.referenced.get_usr()) if cursor.referenced else None
        if function is None:
            return values.depending(values.of_type(cursor.type), *(value for _, value in arguments))
        names, places = {}, {}
        for parameter, (argument, value) in zip(function.get_arguments(), arguments):
            if parameter.type.get_canonical().kind.name == "LVALUEREFERENCE":
                places[parameter.hash] = self._place(argument, scope)
            else:
                names[parameter.hash] = self._fit(value, parameter.type)
        self._function(function, replace(scope, names=names, places=places))
        return values.depending(
            scopes.returned(function, cursor, self.constants, [value for _, value in arguments]),
            *(value for _, value in arguments),
        )

    # ----------------------------------------------------------------------------------------------- arrays
    def _place(self, cursor, scope):
        """The Place that an expression names."""
        cursor = cpp.bare(cursor)
        kind, parts = cursor.kind.name, self.source.children(cursor)
        if kind == "DECL_REF_EXPR":
            known = scope.places.get(cursor.referenced.hash)
            return known or Place("state" if cursor.spelling == "state" else cursor.referenced)
        if kind == "MEMBER_REF_EXPR" and parts:
            base, indices, around = self._place(parts[0], scope)
            if isinstance(base, str):
                return Place(f"{base}.{cursor.spelling}", indices, around)
            return Place(cursor.referenced, (), (*around, *indices))
        if kind == "ARRAY_SUBSCRIPT_EXPR":
            base, indices, around = self._place(parts[0], scope)
            return Place(base, (*indices, self._value(parts[1], scope)), around)
        return Place(cursor.referenced or cursor)

    def _element(self, cursor, scope):
        """A read: constants are ROMs, registers are multiplexed, memories have ports."""
        base, indices, around = self._place(cursor, scope)
        if isinstance(base, str):
            array = self.state.get(base)
            if array and len(indices) == len(array.sizes):
                self._multiplex(cursor, array, indices, scope)
        elif scopes.is_table(base):
            return self._rom(cursor, base, indices[0], scope)
        elif "CONSTANTARRAY" in base.type.get_canonical().kind.name:
            self._local(cursor, base, (indices, around), scope)
            typed = scopes.width(base.type, self.constants)
            if typed is not None:
                return values.depending(typed, *indices, *around)
        return values.depending(self._known(self._member(cursor), cursor.type), *indices, *around)

    def _member(self, cursor):
        """The field whose element a subscript takes, else the subscript itself."""
        base = cpp.bare(cursor)
        while base.kind.name == "ARRAY_SUBSCRIPT_EXPR":
            base = cpp.bare(self.source.children(base)[0])
        return base if base.kind.name == "MEMBER_REF_EXPR" else cursor

    def _access(self, array, indices, kind, scope):
        """A memory's ports: copies that take other addresses of the same memory need one each."""
        if not scope.pipelined or scope.quiet or array.place == "registers":
            return
        apart, count, pieces = [], 1, [()]
        banks = scopes.banks(array, indices)
        for index, cut in zip(banks, array.pieces):
            labels, told = values.memories(index, cut)
            pieces = [(*piece, at) for piece in pieces for at in labels]
            apart += [told] if told is not None else []
        count = values.versions(*indices) / values.versions(*apart) / prod(array.grouped)
        for piece in pieces:
            self.ports[scope.loop, array.path, piece, kind] += ceil(count)

    def _multiplex(self, cursor, array, indices, scope):
        self._access(array, indices, "read", scope)
        sources = 1
        for index, pieces in zip(scopes.banks(array, indices), array.pieces):
            if pieces > 1 and not index.static:
                sources *= min(pieces, index.count)
        what, on = f"{sources}:1 of {array.path}", values.depending(values.one(0), *indices)
        self._add(scope, "lut", fabric.multiplexer(sources, array.width), cursor, what, on)

    def _local(self, cursor, base, where, scope):
        """A local array is wires or registers."""
        indices, around = where
        kind, sources = base.type.get_canonical(), 1
        for index in indices:
            if kind.kind.name != "CONSTANTARRAY":
                break  # through a pointer: a memory port
            if not index.static:
                sources *= min(kind.element_count, index.count)
            kind = kind.element_type.get_canonical()
        what, on = f"{sources}:1 of {base.spelling}", values.depending(values.one(0), *indices, *around)
        typed = scopes.width(base.type, self.constants)
        width = typed.bits if typed else values.bits(cursor.type)
        self._add(scope, "lut", fabric.multiplexer(sources, width), cursor, what, on)

    def _rom(self, cursor, base, index, scope):
        """A table's reader, in the unit where the read stands; its block RAMs serve two each."""
        if not scope.quiet:
            self.readers[scopes.unit_of(cursor, self.folder), base.spelling] += values.versions(index)
        width = scopes.table_width(base)
        self.tables[base.spelling] = fabric.rom_bram18(base.type.get_canonical().element_count, width)
        return values.depending(values.span(-(2 ** (width - 1)), 2 ** (width - 1) - 1), index)

    def _write(self, cursor, scope, constant):
        """An assignment's place: registers that several copies may write choose between them; a constant is a reset."""
        named = cursor.kind.name == "DECL_REF_EXPR" and cursor.referenced.hash in scope.places
        if cursor.kind.name != "ARRAY_SUBSCRIPT_EXPR" and not named:
            self._value(cursor, scope)
            return
        base, indices, _ = self._place(cursor, scope)
        array = self.state.get(base) if isinstance(base, str) else None
        if isinstance(base, str) and array is None:
            return  # a structure's number
        if array and len(indices) == len(array.sizes):
            self._access(array, indices, "write", scope)
            if scope.pipelined and not scope.quiet and not constant and array.place == "registers":
                sharing.note_source(self.sources, (scope.loop, scope.unit), array, indices)
        sizes = array.sizes if array else scopes.sizes_of(base)
        cut = array.pieces if array else sizes
        targets = 1
        for index, pieces in zip(indices, cut):
            if pieces > 1 and not index.static:
                targets *= min(pieces, index.count)
        if targets > 1 and scope.copies > 1:
            width = values.bits(cursor.type)
            what = f"{targets} elements written by {scope.copies} copies"
            sources = min(scope.copies, targets)
            times = max(1, scope.copies // sources)
            self._add(scope, "lut", times * targets * fabric.multiplexer(sources, width), cursor, what, values.one(0))

    def _add(self, scope, resource, amount, cursor, what="", on=None):
        """Count `amount` for each version of `on`, or for every iteration of the unrolled loops."""
        if not amount or scope.quiet:
            return
        total = amount * (scope.copies if on is None else values.versions(on))
        self.use[scope.unit, resource] += total
        where = f"{cpp.name_of(cursor, self.folder)}, {scope.function}"
        self.largest[scope.unit, resource, where, what] += total


def _chosen(condition, branches):
    """Of two branches, or of one, those that a condition leaves: fewer where it is a constant of the sources."""
    if not condition.static or condition.on:
        return branches
    return branches[:1] if condition.low else branches[1:]
