"""The package: a compiled network as one .npz of a program, weights, tables and JSON, read with numpy alone.

Members are stored, not compressed, and the zip's comment holds the sha256 of all bytes before it, so that every flipped
bit and every missing byte is seen. Whatever is wrong with a file, `read` raises one PackageError of one line that says
what was found, what was expected, and what to do.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hls import isa
from hls.command import outputs
from hls.errors import UserError
from hls.meta import OWN, MetaError, check_agreement, check_meta
from hls.program import Limits, ProgramError, check, decode, weight_size
from hls.record import Start

FORMAT = 1
MAX_BYTES = 256 << 20  # half of the ZedBoard's memory
AGAIN = "export it again (python -m export …)"

_ARRAYS = {"program": ("<i4", 2), "weights": ("|i1", 1), "tables": ("<i4", 1), "meta": ("|u1", 1)}  # dtype, dimensions
_OPTIONAL = {"variants": ("<i4", 2)}
_SEAL = b"sha256:"
_SEAL_BYTES = len(_SEAL) + 64


class PackageError(UserError):
    """A package that cannot be used: one line with what was found, what was expected and the remedy."""


@dataclass(frozen=True)
class Package:
    """A compiled network; `meta` is described in hls/meta.py."""

    program: np.ndarray  # (instructions, INSTRUCTION_WORDS) int32
    weights: np.ndarray  # (bytes,) int8
    tables: np.ndarray  # (words,) int32
    meta: dict
    variants: np.ndarray = field(  # programs of class exits, one behind the other
        kw_only=True, default_factory=lambda: np.zeros((0, isa.INSTRUCTION_WORDS), np.int32)
    )

    @property
    def name(self):
        return self.meta["name"]

    @property
    def dataset(self):
        return self.meta["dataset"]

    @property
    def gates(self):
        """Number of gates: trace words of a record."""
        return len(self.meta["gates"])

    @property
    def classes(self):
        """Number of classes: logits of a record."""
        return len(self.meta["classes"])

    @property
    def class_names(self):
        return self.meta["classes"]

    @property
    def exits(self):
        """One dict per exit, in order; `flops` and `cycles` are the budgets that are always enough for it."""
        return self.meta["exits"]

    @property
    def image_shape(self):
        """(height, width, channels) of the uint8 images it takes."""
        return tuple(self.meta["input"][axis] for axis in ("height", "width", "channels"))

    @property
    def own_images(self):
        """How pictures of one's own are read, as it was trained (data.parts.About.stored); {} of an official set."""
        return self.meta["input"].get("images", {})

    @property
    def map_words(self):
        """Words of the DDR's map memory, 64 bytes each, that a start must give the engine."""
        return self.meta["map_words"]

    def start(self, **options):
        """Start parameters for this package: its own, and `options` of hls.record.Start."""
        return Start(self.gates, self.classes, map_words=self.map_words, **options)

    def with_thresholds(self, thresholds):
        """The package with a threshold of its own for each exit but the last, of the rule that a start names."""
        program, names = self.program.copy(), isa.FIELDS[isa.TAP]
        taps = np.flatnonzero(program[:, 0] == isa.TAP)
        exits = program[taps, 1 + names.index("exit")]
        program[taps, 1 + names.index("threshold")] = np.asarray(thresholds, np.int32)[exits]
        return replace(self, program=program)

    @property
    def class_exits(self):
        """Names of the classes that it has class exits for."""
        return [item["name"] for item in self.meta.get("class_exits", [])]

    def with_class_exit(self, name):
        """The package with the program that stops early for a class. UserError where it has none of that name."""
        if name not in self.class_exits:
            known = f"expected one of {', '.join(self.class_exits)}" if self.class_exits else "it has none"
            raise UserError(
                f"the package {self.name} has no class exit {name}: {known}; "
                "python -m training class-exits makes more, then export again"
            )
        item = self.meta["class_exits"][self.class_exits.index(name)]
        kept = {key: value for key, value in self.meta.items() if key != "class_exits"}
        meta = kept | {key: item[key] for key in OWN} | {"average": {}}
        return Package(self.variants[item["first"] :][: item["count"]], self.weights, self.tables, meta)

    @property
    def limits(self):
        height, width, channels = self.image_shape
        return Limits(
            instructions=len(self.program),
            weight_bytes=self.weights.size,
            table_words=self.tables.size,
            image_bytes=height * width * channels,
            gates=self.gates,
            classes=self.classes,
            map_words=self.map_words,
        )


def read(path):
    """The package at `path`, checked; PackageError says what is wrong with it. Its arrays are read-only."""
    path = Path(path)
    try:
        data = _file_bytes(path)
        _check_seal(data)
        members = _members(data)
        meta = _decode_meta(_array("meta", members["meta"]))
        arrays = {name: _array(name, members[name]) for name in members if name != "meta"}
        package = Package(meta=meta, **arrays)
        _check(package)
    except PackageError as error:
        raise PackageError(f"{path}: {error}") from error
    return package


def write(path, package):
    """Write `package` at `path`, whole or not at all. PackageError if it is not valid, OutputError."""
    outputs.write(path, encoded(package))


def encoded(package):
    """The bytes of a package's file, the same for the same package. PackageError if it is not valid."""
    arrays = {"program": package.program, "weights": package.weights, "tables": package.tables}
    if len(package.variants):
        arrays["variants"] = package.variants
    arrays["meta"] = _encode_meta(package.meta)
    _decode_meta(arrays["meta"])
    _check(package)
    return pack({f"{name}.npy": _npy(array) for name, array in arrays.items()})


def pack(members):
    """A sealed zip of `members` (file name → bytes), the same bytes for the same members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
        archive.comment = _SEAL + b"0" * 64
    return _seal(stream.getvalue()[:-_SEAL_BYTES])


def _seal(body):
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode()


def _line(error):
    return " ".join(f"{type(error).__name__} {error}".split())


def _file_bytes(path):
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise PackageError(f"{path.stat().st_size} bytes, expected at most {MAX_BYTES}: not a package, {AGAIN}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, PackageError):
            raise
        raise PackageError(f"cannot be read ({_line(error)}): give the path of a package, or {AGAIN}") from error


def _check_seal(data):
    if data[:4] != b"PK\3\4":
        raise PackageError(f"starts with {data[:4]!r}, expected a zip (.npz): not a package, {AGAIN}")
    if data[-_SEAL_BYTES:][: len(_SEAL)] != _SEAL:
        raise PackageError(f"ends without a checksum: cut short, or not written as a package; copy it anew or {AGAIN}")
    if _seal(data[:-_SEAL_BYTES]) != data:
        raise PackageError(f"its checksum does not match its bytes: damaged, copy it anew or {AGAIN}")


def _members(data):
    """The bytes of each member. A zip can be wrong in any way, so that any exception of its reader is a verdict."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found, expected = sorted(archive.namelist()), sorted(f"{name}.npy" for name in _ARRAYS)
            if [name for name in found if name.removesuffix(".npy") not in _OPTIONAL] != expected:
                raise PackageError(f"holds {found}, expected {expected}: not a package, {AGAIN}")
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise PackageError(f"its members are compressed, expected stored: {AGAIN}")
            return {name.removesuffix(".npy"): archive.read(name) for name in dict.fromkeys(found)}
    except PackageError:
        raise
    except Exception as error:
        raise PackageError(f"damaged zip ({_line(error)}): copy it anew or {AGAIN}") from error


def _array(name, data):
    """A read-only array on the bytes of an .npy member; what its header claims is compared with what is there."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0(stream) if version == (1, 0) else None
    except Exception as error:  # the header is a Python literal: damage can raise nearly anything
        raise PackageError(f"{name} has a damaged header ({_line(error)}): copy it anew or {AGAIN}") from error
    if header is None:
        raise PackageError(f"{name} has npy version {version}, expected (1, 0): {AGAIN}")
    shape, fortran_order, dtype = header
    expected, dimensions = (_ARRAYS | _OPTIONAL)[name]
    if dtype.str != expected or len(shape) != dimensions or fortran_order:
        raise PackageError(f"{name} is {dtype.str} {shape}, expected {expected} in {dimensions} dimensions: {AGAIN}")
    claimed = dtype.itemsize
    for size in shape:
        claimed *= size
    present = len(data) - stream.tell()
    if min(shape) < 0 or claimed != present:
        raise PackageError(f"{name} claims {claimed} bytes for {shape}, {present} are there: copy it anew or {AGAIN}")
    return np.ndarray(shape, dtype, buffer=data, offset=stream.tell())


def _decode_meta(array):
    try:
        meta = json.loads(array.tobytes().decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"its meta is not JSON ({_line(error)}): {AGAIN}") from error
    if not isinstance(meta, dict):
        raise PackageError(f"its meta is a {type(meta).__name__}, expected an object: {AGAIN}")
    if meta.get("isa") != isa.HASH:
        raise PackageError(f"package is for engine {meta.get('isa')}, this is {isa.HASH}: {AGAIN}")
    if meta.get("format") != FORMAT:
        raise PackageError(f"package has format {meta.get('format')}, this reads {FORMAT}: {AGAIN}")
    return meta


def _refuse_constant(name):
    raise ValueError(f"{name} is not a number in JSON")


def _encode_meta(meta):
    try:
        text = json.dumps(meta, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return np.frombuffer(text.encode(), np.uint8)
    except (TypeError, ValueError) as error:
        raise PackageError(f"its meta cannot be written as JSON ({_line(error)})") from error


def _npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _check(package):
    """What holds of any package, read or about to be written."""
    for name in ("program", "weights", "tables", "variants"):
        array, (dtype, dimensions) = getattr(package, name), (_ARRAYS | _OPTIONAL)[name]
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise PackageError(f"{name} is {array.dtype} {array.shape}, expected {dtype} in {dimensions} dimensions")
    for name in ("program", "variants"):
        array = getattr(package, name)
        if array.shape[1] != isa.INSTRUCTION_WORDS:
            raise PackageError(f"{name} is {array.shape}, expected (n, {isa.INSTRUCTION_WORDS}): {AGAIN}")
    try:
        check_meta(package.meta)
        _check_lengths(package)
        for one in (package, *map(package.with_class_exit, package.class_exits)):
            check(one.program, one.limits)
            check_agreement(one.meta, one.program)
    except (MetaError, ProgramError) as error:
        raise PackageError(f"{error}: {AGAIN}") from error
    _check_weights(package)


def _check_lengths(package):
    """Class exits' programs are all of the variants."""
    counts = [item["count"] for item in package.meta.get("class_exits", [])]
    if sum(counts) != len(package.variants):
        raise PackageError(f"class exits have {sum(counts)} instructions, {len(package.variants)} are there: {AGAIN}")


def _check_weights(package):
    """-128 breaks two products in one DSP; only IMAGE's tables, which are no factors, may hold it."""
    bad = package.weights == -128
    for words in package.program[package.program[:, 0] == isa.IMAGE]:
        fields = decode(words)
        bad[fields["weights"] : fields["weights"] + weight_size(fields)] = False
    if bad.any():
        raise PackageError(f"weight {int(bad.argmax())} is -128, expected -127 to 127: {AGAIN}")
