"""The engine's memories: every array of its State, with the pragmas that cut it, as block RAM, LUT RAM or registers.

    for array in arrays(unit): print(array.path, array.place, array.bram18)      # unit: of cpp.parse

An array that is cut completely along every dimension is registers. What is left of another is one memory for each
cut, as deep as the uncut dimensions and as wide as an element, or as a reshaped group of elements.
"""

from dataclasses import dataclass, field
from math import ceil, prod

from hls.estimate import fabric, scopes, values
from hls.estimate.fabric import BRAM18
from hls.estimate.known import KNOWN
from hls.lint import cpp, pragmas

LUTRAM_BITS = 1024  # up to so many bits a memory goes into LUTs, as Vitis HLS and Vivado choose by themselves
CUTS = ("array_partition", "array_reshape")


@dataclass
class Array:
    """An array of the State: `sizes` of its dimensions, `bits` of an element; what the pragmas make of them."""

    path: str  # state.layer.lanes.even
    unit: str  # header that declares it
    bits: int
    sizes: list
    pieces: list = field(default_factory=list)  # per dimension: memories it is cut into
    grouped: list = field(default_factory=list)  # per dimension: elements that share a word
    cyclic: set = field(default_factory=set)  # dimensions whose neighbours lie in neighbouring memories
    storage: dict = field(default_factory=dict)  # of bind_storage

    @property
    def memories(self):
        """Memories that stand side by side."""
        return prod(self.pieces)

    @property
    def depth(self):
        """Words of one memory."""
        return prod(ceil(size / pieces / grouped) for size, pieces, grouped in zip(*self._dimensions()))

    @property
    def width(self):
        """Bits of a word."""
        return self.bits * prod(self.grouped)

    @property
    def place(self):
        """Where it is kept: registers, lutram or bram."""
        if self.depth == 1:
            return "registers"
        chosen = {"lutram": "lutram", "bram": "bram"}.get(self.storage.get("impl", ""))
        return chosen or ("lutram" if self.depth * self.width <= LUTRAM_BITS else "bram")

    @property
    def bram18(self):
        """Block RAMs, without copies for further readers."""
        if self.place != "bram":
            return 0
        words, bits = self._shape()
        return self.memories * ceil(self.depth / words) * ceil(self.width / bits)

    def _shape(self):
        """(words, bits) of the block RAMs that it takes fewest of, the deepest of them."""
        shapes = BRAM18[:-1] if self.storage.get("type") == "ram_t2p" else BRAM18  # 36 bits need both ports
        return min(shapes, key=lambda shape: ceil(self.depth / shape[0]) * ceil(self.width / shape[1]))

    @property
    def lut(self):
        """LUTs that are memory, or choose what is read between block RAMs that stand for parts of its depth."""
        if self.place == "lutram":
            return self.memories * fabric.lutram(self.depth, self.width)
        if self.place != "bram":
            return 0
        words, _ = self._shape()
        ports = 2 if self.storage.get("type") == "ram_t2p" else 1
        return ports * self.memories * fabric.multiplexer(ceil(self.depth / words), self.width)

    @property
    def ff(self):
        """Flip-flops."""
        return self.memories * self.width if self.place == "registers" else 0

    def _dimensions(self):
        return self.sizes, self.pieces, self.grouped


def arrays(unit, folder=cpp.SOURCES):
    """Every array and scalar of the State of a parsed engine.cpp, cut as its pragmas say."""
    constants = scopes.constants(unit, folder)
    state = next(
        each for each, _ in cpp.walk(unit, folder) if each.kind.name == "STRUCT_DECL" and each.spelling == "State"
    )
    found = [array for each in state.get_children() for array in _members(each, "state", "", (folder, constants))]
    for array in found:
        array.pieces, array.grouped = [1] * len(array.sizes), [1] * len(array.sizes)
    by_path = {array.path: array for array in found}
    for _, pragma, _ in pragmas.placed(unit, folder):
        array = by_path.get(pragma.text("variable"))
        if array is not None:
            _apply(array, pragma, constants)
    return found


def _members(cursor, prefix, unit, context, around=()):
    """The arrays of a field, those of its own fields if it is a structure, of an array of them `around` so many."""
    if cursor.kind.name != "FIELD_DECL":
        return
    path, kind, sizes = f"{prefix}.{cursor.spelling}", cursor.type, list(around)
    folder, constants = context
    unit = unit or _header(kind, cursor, folder)
    element = kind.get_canonical()
    while element.kind.name == "CONSTANTARRAY":
        sizes.append(element.element_count)
        element = element.element_type.get_canonical()
    if element.kind.name == "RECORD":
        for each in element.get_declaration().get_children():
            yield from _members(each, path, unit, context, sizes)
    else:
        limits = KNOWN.get(f"{cursor.semantic_parent.spelling}.{cursor.spelling}")
        typed = values.span(*limits) if limits else scopes.width(kind, constants)
        yield Array(path, unit, typed.bits if typed else values.bits(element), sizes)


def _header(kind, cursor, folder):
    """The unit that declares the field's type, or, of a plain one, the field."""
    declaration = kind.get_declaration()
    return scopes.unit_of(declaration if cpp.in_folder(declaration, folder) else cursor, folder)


def _apply(array, pragma, constants):
    """Cut or bind an array as its pragma says."""
    if pragma.name == "bind_storage":
        array.storage = {key: pragma.text(key) for key in pragma.arguments}
    if pragma.name not in CUTS or not array.sizes:
        return
    said = (*pragma.words, pragma.text("type"))
    kind = next((word for word in ("cyclic", "block") if word in said), "complete")
    target = array.pieces if pragma.name == "array_partition" else array.grouped
    dimension = scopes.evaluated(pragma.text("dim") or "1", constants)
    chosen = range(len(array.sizes)) if dimension == 0 else [dimension - 1]
    for index in chosen:
        whole = ceil(array.sizes[index] / array.pieces[index])
        target[index] = whole if kind == "complete" else min(scopes.evaluated(pragma.text("factor"), constants), whole)
        if kind == "cyclic":
            array.cyclic.add(index)
