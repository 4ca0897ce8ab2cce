"""Packages: what is written is read, and every damage is refused by one line that names it and the remedy."""

import copy
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls import isa, package
from hls.package import PackageError, pack, read, write
from tests.hls.packages import random_package

MOST = isa.MAX_INSTRUCTIONS


@pytest.fixture(scope="module")
def good():
    """A package with a MOVE to or from the DDR."""
    found = (random_package(seed) for seed in range(999))
    return next(item for item in found if isa.MOVE in item.program[:, 0] and item.map_words > 20)


@pytest.fixture(scope="module")
def path(good, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "good.npz"
    write(path, good)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "bad.npz"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0))
    return stream.getvalue()


def header(descr, shape, order=False):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": order, "shape": shape})
    return stream.getvalue()


def refuse(scratch, data, match):
    """`data` as a file is refused by one line with the path and the remedy."""
    scratch.write_bytes(data)
    with pytest.raises(PackageError, match=match) as caught:
        read(scratch)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(f"{scratch}: ") and "python -m export" in text


def refuse_meta(scratch, good, change, match):
    """A sealed package whose meta was changed."""
    meta = copy.deepcopy(good.meta)
    change(meta)
    with pytest.raises(PackageError, match=match):
        write(scratch, replace(good, meta=meta))
    arrays = {name: npy(getattr(good, name)) for name in ("program", "weights", "tables")}
    arrays["meta"] = npy(np.frombuffer(json.dumps(meta).encode(), np.uint8))
    refuse(scratch, pack({f"{name}.npy": data for name, data in arrays.items()}), match)


def test_what_is_written_is_read(good, path):
    found = read(path)
    for name in ("program", "weights", "tables"):
        assert np.array_equal(getattr(found, name), getattr(good, name))
        assert not getattr(found, name).flags.writeable
    assert found.meta == good.meta and found.limits == good.limits
    assert found.image_shape == tuple(good.meta["input"][key] for key in ("height", "width", "channels"))
    assert (found.gates, found.classes) == (len(good.meta["gates"]), len(good.meta["classes"]))
    assert found.map_words == found.limits.map_words == good.meta["map_words"] > 0


def test_random_packages_survive(tmp_path):
    for seed in range(100, 120):
        write(tmp_path / "x.npz", random_package(seed))
        read(tmp_path / "x.npz")


def test_the_same_package_gives_the_same_bytes_and_leaves_nothing_else(good, path, tmp_path):
    write(tmp_path / "again.npz", read(path))
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert [item.name for item in tmp_path.iterdir()] == ["again.npz"]


def test_a_package_is_a_plain_npz(good, path):
    with np.load(path, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["program"], good.program)
        assert json.loads(arrays["meta"].tobytes()) == good.meta


def test_a_refused_write_keeps_the_old_file(good, tmp_path):
    write(tmp_path / "x.npz", good)
    before = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(PackageError):
        write(tmp_path / "x.npz", replace(good, weights=good.weights[:16]))
    assert (tmp_path / "x.npz").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_seen(path, scratch, at, bit):
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    refuse(scratch, bytes(data), "expected|damaged|checksum|cut short")


@given(at=st.floats(0, 1, exclude_max=True))
def test_every_cut_is_seen(path, scratch, at):
    data = path.read_bytes()
    refuse(scratch, data[: int(at * len(data))], "cut short|not a package")


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_refused(scratch, data, like_zip):
    refuse(scratch, (b"PK\3\4" if like_zip else b"") + data, "not a package|cut short|damaged")


@given(
    at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), member=st.sampled_from(["program", "meta", "tables"])
)
def test_damage_that_was_sealed_never_raises_anything_else(path, scratch, at, bit, member):
    """Even behind a right checksum: a reader of headers and of JSON that only raises PackageError."""
    parts = members(path)
    data = bytearray(parts[f"{member}.npy"])
    data[int(at * len(data))] ^= 1 << bit
    parts[f"{member}.npy"] = bytes(data)
    scratch.write_bytes(pack(parts))
    try:
        read(scratch)
    except PackageError as error:
        assert "\n" not in str(error)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_sealed_zip_that_is_broken_never_raises_anything_else(path, scratch, at, bit):
    data = bytearray(path.read_bytes()[: -package._SEAL_BYTES])
    data[int(at * len(data))] ^= 1 << bit
    scratch.write_bytes(package._seal(bytes(data)))
    try:
        read(scratch)
    except PackageError as error:
        assert "\n" not in str(error)


def test_missing_files_and_folders(tmp_path):
    for where in (tmp_path / "none.npz", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(PackageError, match="cannot be read"):
            read(where)


def test_another_npz_is_refused(scratch):
    stream = io.BytesIO()
    np.savez(stream, program=np.zeros(3))
    refuse(scratch, stream.getvalue(), "without a checksum")


def test_missing_and_extra_members(path, scratch):
    parts = members(path)
    refuse(scratch, pack({**parts, "more.npy": b""}), "holds .*more.npy")
    del parts["tables.npy"]
    refuse(scratch, pack(parts), "holds .*expected .*tables.npy")


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("weights", header("|i1", (1 << 40,)), f"claims {1 << 40} bytes"),
        ("weights", header("|i1", (1 << 40,)) + b"\0" * 64, f"claims {1 << 40} bytes"),
        ("tables", header("<i4", (-1,)), "claims|header"),
        ("program", header("<i4", (1 << 62, 16)), "claims"),
        ("program", header("<i4", (2, 16), order=True) + b"\0" * 128, "expected <i4 in 2 dimensions"),
        ("program", npy(np.zeros((4, 15), np.int32)), r"expected \(n, 16\)"),
        ("program", npy(np.zeros((0, 16), np.int32)), "0 instructions"),
        ("program", npy(np.zeros((MOST + 1, 16), np.int32)), f"{MOST + 1} instructions"),
        ("program", npy(np.zeros((2, 16), np.int64)), "expected <i4"),
        ("weights", npy(np.zeros(64, np.uint8)), r"weights is \|u1"),
        ("tables", npy(np.zeros((2, 2), np.int32)), "in 1 dimensions"),
        ("tables", npy(np.zeros(4, ">i4")), "tables is >i4"),
        ("meta", npy(np.array([{}], object))[:90], "header|expected"),
        ("meta", b"no npy at all", "damaged header"),
        ("meta", b"\x93NUMPY\x03\x00" + bytes(100), "version"),
        ("meta", npy(np.frombuffer(b"[1]", np.uint8)), "is a list"),
        ("meta", npy(np.frombuffer(b'{"isa": NaN}', np.uint8)), "not JSON"),
        ("meta", npy(np.frombuffer(b"[" * 100000, np.uint8)), "not JSON"),
        ("meta", npy(np.frombuffer(b"\xff\xfe", np.uint8)), "not JSON"),
    ],
)
def test_wrong_arrays_are_refused_before_they_are_allocated(path, scratch, name, data, match):
    refuse(scratch, pack({**members(path), f"{name}.npy": data}), match)


def test_a_compressed_member_is_refused_unread(path, scratch):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members(path).items():
            archive.writestr(name, data)
        archive.comment = b"sha256:" + b"0" * 64
    refuse(scratch, package._seal(stream.getvalue()[: -package._SEAL_BYTES]), "compressed")


def test_a_huge_file_is_refused_unread(scratch):
    with scratch.open("wb") as file:
        file.truncate(package.MAX_BYTES + 1)
    with pytest.raises(PackageError, match="expected at most"):
        read(scratch)


def test_a_foreign_engine_is_named(scratch, good):
    match = rf"package is for engine 0123456789abcdef, this is {isa.HASH}: export it again \(python -m export"
    refuse_meta(scratch, good, lambda meta: meta.update(isa="0123456789abcdef"), match)


def put(*path_and_value):
    *keys, last, value = path_and_value

    def change(meta):
        for key in keys:
            meta = meta[key]
        meta[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (put("format", 2), "format 2, this reads 1"),
        (put("more", 1), r"unknown keys \['more'\]"),
        (lambda meta: meta.pop("steps"), r"lacks \['steps'\]"),
        (put("name", ""), "name"),
        (put("training", []), "training"),
        (put("input", None), "input"),
        (put("input", "height", 0), "height"),
        (put("input", "width", True), "width"),
        (put("input", "height", 251), "instruction 0"),
        (put("input", "mean", []), "mean"),
        (put("input", "std", 0, 0), "std"),
        (put("input", "step", "1"), "step"),
        (put("input", "images", ["crop"]), "input images is"),
        (put("classes", [1, 2]), "classes"),
        (put("classes", []), "0 classes"),
        (put("classes", ["one"]), "instruction"),
        (put("exits", []), "0 exits"),
        (put("exits", 0, "flops", 1), "meta says 1 FLOPs"),
        (put("exits", 0, "cycles", -1), r"exits\[0\]"),
        (put("exits", 0, "name", 5), "the name 5"),
        (put("exits", 0, "classifier_cycles", 1), "1 cycles for the classifier"),
        (put("map_words", -1), "map_words is -1"),
        (put("map_words", isa.DDR_ADDRESS), f"map_words is {isa.DDR_ADDRESS}"),
        (put("map_words", 0), "instruction .*MOVE.*map memory"),
        (put("gates", 0, "channels", 0), "0"),
        (put("gates", 0, "stage", 1.5), r"gates\[0\]"),
        (lambda meta: meta["gates"].append(meta["gates"][0]), "gates, the program has"),
        (lambda meta: meta["gates"].pop(), "instruction"),
    ],
)
def test_meta_must_agree_with_the_program(scratch, good, change, match):
    refuse_meta(scratch, good, change, match)


def test_a_tap_must_say_what_its_classifier_costs(scratch, good):
    program = good.program.copy()
    tap = int(np.flatnonzero(program[:, 0] == isa.TAP)[0])
    program[tap, 1 + isa.FIELDS[isa.TAP].index("flops")] += 2
    with pytest.raises(PackageError, match=f"TAP at instruction {tap} reserves|FLOPs"):
        write(scratch, replace(good, program=program))


def test_weights_of_minus_128_are_refused_but_in_images_tables(scratch, good):
    table = int(good.program[0, 1 + isa.FIELDS[isa.IMAGE].index("weights")])
    weights = good.weights.copy()
    weights[table] = -128
    write(scratch, replace(good, weights=weights))
    weights[-1] = -128
    with pytest.raises(PackageError, match=f"weight {len(weights) - 1} is -128"):
        write(scratch, replace(good, weights=weights))


def test_meta_that_json_cannot_hold_is_refused(scratch, good):
    for value in (float("nan"), {1, 2}, "\ud800"):
        with pytest.raises(PackageError, match="cannot be written as JSON"):
            write(scratch, replace(good, meta={**good.meta, "steps": {"x": value}}))
