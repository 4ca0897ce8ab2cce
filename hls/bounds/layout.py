"""Where arrays lie: those of the State by libclang, those of a function by its allocas, tables and ports by name.

    layout = Layout(sources)
    layout.room(loop, root, constant, instruction).array     # of the byte `constant` behind a root of the IR

Banks are those of the pragmas (hls/estimate/arrays.py). A function's own array that is indexed at run time is a memory
of two ports like any other, unless it is cut by a pragma or has so few elements that Vitis HLS cuts it by itself
(config_array_partition, complete_threshold).
"""

import re
from dataclasses import dataclass
from math import prod

from hls.bounds.ir import BoundsError, array_of
from hls.estimate.arrays import CUTS, Array, arrays
from hls.lint import cpp

PORT = "port"  # unit of what a pointer of the top function leads to
QUEUE = "queue"
TABLE = "table"
LOCAL = "local"
CUT_BY_ITSELF = 4  # elements


@dataclass(frozen=True)
class Room:
    """Where an array lies below its root: first byte, bytes of an element, bytes of a step along each dimension."""

    array: Array
    first: int
    element: int
    strides: tuple | None  # None of a port

    @property
    def end(self):
        return self.first + self.element * prod(self.array.sizes)


class Layout:
    """The rooms of a Sources, by the roots of its IR."""

    def __init__(self, sources):
        self.sources, self.module = sources, sources.module
        self.bundles = _bundles(sources)
        self.rooms = {}
        state = sorted(_state_rooms(sources), key=lambda room: room.first)
        for name, kind in self.module.globals.items():
            if re.fullmatch(r'%"?(struct\.)(.*::)?State"?', kind):
                self.rooms[name] = state

    def room(self, loop, root, constant, instruction):
        """The Room that holds byte `constant` behind `root`. BoundsError where nothing is known of it."""
        if root not in self.rooms:
            self.rooms[root] = self._found(loop.function, root)
        for room in self.rooms[root]:
            if room.strides is None or room.first <= constant < room.end:
                return room
        file, line = self.module.line(instruction.place)
        raise BoundsError(f"{file}:{line}: byte {constant} of {root} belongs to no array that hls/estimate knows")

    def _found(self, function, root):
        name = re.sub(r'^[%@]"?|"$', "", root)
        if root in function.arguments:
            return [Room(plain(self.bundles.get(name, name), PORT, 64, []), 0, 8, None)]
        if root in self.module.tables:
            return self._flattened(_unmangled(name), self.module.tables[root], TABLE, lambda path: False)
        made = next((each for block in function.blocks.values() for each in block.instructions
                     if each.name == root and each.op == "alloca"), None)  # fmt: skip
        if made is None:
            raise BoundsError(f"{root} is no memory that hls/bounds/layout.py knows: keep it in the State")
        source = re.sub(r"\.(addr|sroa)?.*$", "", name)
        return self._flattened(source, made.detail, LOCAL, lambda path: self._is_cut(function, root, path))

    def _flattened(self, name, kind, unit, is_cut):
        """Rooms of the arrays and numbers that a type is made of."""
        rooms = []
        for path, first, element, sizes in self._leaves(name, kind, 0, []):
            array = plain(path, unit, 8 * element, sizes)
            if unit == LOCAL and (prod(sizes) <= CUT_BY_ITSELF or is_cut(path)):
                array.pieces = list(sizes)
            strides = tuple(element * prod(sizes[dimension + 1 :]) for dimension in range(len(sizes)))
            rooms.append(Room(array, first, element, strides))
        return rooms

    def _leaves(self, path, kind, first, sizes):
        kind = self.module.types.get(kind, kind)
        if kind.startswith("["):
            count, element = array_of(kind)
            inner = self.module.types.get(element, element)
            if inner.startswith(("{", "<{")):  # an array of structures: one element after the other
                size = self.module.layout(element)[0]
                for index in range(int(count)):
                    yield from self._leaves(f"{path}[{index}]", element, first + index * size, [])
            else:
                yield from self._leaves(path, element, first, [*sizes, int(count)])
        elif kind.startswith(("{", "<{")):
            for index in range(len(self.module.members(kind))):
                offset, member = self.module.offset(kind, index)
                yield from self._leaves(f"{path}.{index}", member, first + offset, [])
        else:
            yield path, first, self.module.layout(kind)[0], sizes

    def _is_cut(self, function, root, path):
        """Does a pragma of the function that declares a local array cut it completely, in all dimensions?"""
        name = path.partition(".")[0].partition("[")[0]
        for pragma, site in self.sources.pragmas:
            if pragma.name in CUTS and pragma.text("variable").partition(".")[0] == name:
                whole = {"cyclic", "block"}.isdisjoint({*pragma.words, pragma.text("type")})
                if whole and self._is_used_in(function, root, site.function):
                    return True
        return False

    def _is_used_in(self, function, root, declaring):
        """Does an instruction that names the alloca stand in the lines of the declaring function?"""
        path, extent = cpp.path_of(declaring), declaring.extent
        for block in function.blocks.values():
            for each in block.instructions:
                if root in each.operands and each.place:
                    file, line = self.module.line(each.place)
                    here = (self.sources.folder / file).resolve() == path
                    if here and extent.start.line <= line <= extent.end.line:
                        return True
        return False


def plain(path, unit, bits, sizes):
    """An Array that no pragma cuts."""
    return Array(path, unit, bits, list(sizes), [1] * len(sizes), [1] * len(sizes))


def _unmangled(name):
    """kTanhTable of _ZN3ddi3isaL10kTanhTableE."""
    last, rest = name, name[3:]
    while name.startswith("_ZN") and (part := re.match(r"L?(\d+)", rest)):
        end = part.end() + int(part.group(1))
        last, rest = rest[part.end() : end], rest[end:]
    return last


def _bundles(sources):
    """Port → name of the bus that it shares, of interface pragmas."""
    return {
        pragma.text("port"): pragma.text("bundle") or pragma.text("port")
        for pragma, _ in sources.pragmas
        if pragma.name == "interface" and ("m_axi" in pragma.words or pragma.text("mode") == "m_axi")
    }


def _state_rooms(sources):
    """A Room for every array and number of the State."""
    state = next((each for each, _ in cpp.walk(sources.unit, sources.folder)
                  if each.kind.name == "STRUCT_DECL" and each.spelling == "State"), None)  # fmt: skip
    if state is None:
        return
    for array in arrays(sources.unit, sources.folder):
        kind, first = state.type, 0
        for name in array.path.split(".")[1:]:
            if kind.kind.name == "CONSTANTARRAY":
                raise BoundsError(f"{array.path} lies in an array of structures: keep arrays of numbers in the State")
            first += kind.get_offset(name) // 8
            member = next(each for each in kind.get_declaration().get_children() if each.spelling == name)
            kind = member.type.get_canonical()
        while kind.kind.name == "CONSTANTARRAY":
            kind = kind.element_type.get_canonical()
        size = kind.get_size()
        strides = tuple(size * prod(array.sizes[dimension + 1 :]) for dimension in range(len(array.sizes)))
        yield Room(array, first, size, strides)
