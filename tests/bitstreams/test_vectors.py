"""The test bench of C simulation and co-simulation, built with g++: it passes on golden vectors and fails on others."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from bitstreams import sources, vectors
from hls import isa
from hls.errors import UserError
from tests.bitstreams import dry_run

SANITIZERS = ("-O1", "-fsanitize=address")  # a port that is read past its end


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """(folder, records) of vectors of the tiny package, its test bench built with sanitizers."""
    folder = tmp_path_factory.mktemp("vectors")
    records = vectors.write(folder, *dry_run.batch())
    passed, text = vectors.simulate(folder, SANITIZERS)
    assert passed, text
    assert f"{len(records)} records are the golden model's" in text
    return folder, records


def run(folder):
    """(exit code, output) of the test bench that is built already."""
    result = subprocess.run(
        [str(folder / "testbench"), str(folder / "vectors")], capture_output=True, text=True, check=False
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.cosim
@pytest.mark.parametrize("word", [0, 5, -1])
def test_a_wrong_record_is_found_with_its_place(bench, word):
    folder, records = bench
    path = folder / "vectors" / "results.expected.bin"
    original, flat = path.read_bytes(), records.astype(np.int32).reshape(-1).copy()
    place = word % flat.size
    flat[place] += 1
    try:
        path.write_bytes(flat.tobytes())
        code, text = run(folder)
    finally:
        path.write_bytes(original)
    width = records.shape[1]
    assert code == 1 and "FAIL" in text
    found = f"image {place // width}, word {place % width} of its record: {flat[place] - 1}, expected {flat[place]}"
    assert found in text


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("name", "expected"),
    [("bad_start_status", "empty start: status 12, expected 13"), ("expected_status", "batch: status 0, expected 1")],
)
def test_a_wrong_status_is_found(bench, name, expected):
    folder, _ = bench
    path = folder / "vectors" / "scalars.txt"
    original = path.read_text()
    lines = [line.split() for line in original.splitlines()]
    changed = [f"{key} {int(value) + (key == name)}" for key, value in lines]
    try:
        path.write_text("\n".join(changed) + "\n")
        code, text = run(folder)
    finally:
        path.write_text(original)
    assert code == 1 and expected in text
    assert isa.STATUS_BAD_START == 12 and isa.STATUS_OK == 0


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("++progress.instructions;", "progress.instructions += 2;", "of its record"),
        ("if (!StartIsGood(start)) return", "if (!StartIsGood(start)) return results[0] = 7,", "engine wrote results"),
    ],
)
def test_a_wrong_engine_is_found(tmp_path, old, new, expected):
    vectors.write(tmp_path, *dry_run.batch())
    source = tmp_path / "src" / sources.MAIN
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    passed, said = vectors.simulate(tmp_path, ("-O0",))
    assert not passed and expected in said


@pytest.mark.cosim
def test_vectors_that_are_not_there_are_named(bench):
    folder, _ = bench
    hidden = folder / "vectors" / "program.bin"
    moved = hidden.rename(hidden.with_suffix(".away"))
    try:
        code, text = run(folder)
    finally:
        moved.rename(hidden)
    assert code == 1 and "program.bin cannot be read: make the vectors anew" in text


@pytest.mark.cosim
def test_a_real_package_passes(tmp_path, capsys):
    assert vectors.main(["--out", str(tmp_path), "--images", "1", "--budget-flops", "74000000"]) == 0
    assert "1 records are the golden model's\nPASS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--images", "0"], "expected a whole number, 1 or more"),
        (["--budget-flops", "-1"], "expected a whole number from 0"),
        (["--package", "nothing"], "nothing.npz"),
        (["--out", __file__], "is a file: give a folder"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, expected, capsys):
    try:
        code = vectors.main(arguments)
    except SystemExit as stop:  # the command line itself
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_the_copy_differs_by_the_depths_alone(tmp_path):
    top = sources.read_top()
    depths = {item.name: 100 + index for index, item in enumerate(top.memories)}
    sources.write(tmp_path, top, depths)
    assert {path.parent.name for path in sources.headers()} >= {"src", "chip"}
    for path in (*sources.headers(), sources.SOURCES / sources.MAIN):
        if path.name != sources.TOP_FILE:
            assert (tmp_path / "src" / path.relative_to(sources.SOURCES)).read_bytes() == path.read_bytes()
    original = (sources.SOURCES / sources.TOP_FILE).read_text().splitlines()
    copy = (tmp_path / "src" / sources.TOP_FILE).read_text().splitlines()
    changed = [(old, new) for old, new in zip(original, copy, strict=True) if old != new]
    assert len(changed) == len(depths)
    for (old, new), (name, depth) in zip(sorted(changed), sorted(depths.items()), strict=True):
        assert f"port = {name} " in old and new == f"{old} depth = {depth}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("int32_t rule", "int64_t rule", "rule"),
        ("int32_t classes,", "int32_t klasses,", "klasses"),
        ("int32_t gates", "float gates", "expected a pointer or fixed-width integer"),
        ("m_axi port = tables", "m_axi port = table", "m_axi pragmas for"),
        ('extern "C"', "extern", "has no extern"),
    ],
)
def test_a_source_that_is_not_the_contracts_is_refused(tmp_path, old, new, expected):
    text = (sources.SOURCES / sources.TOP_FILE).read_text()
    at = text.index('extern "C"')
    assert old in text[at:]
    (tmp_path / sources.TOP_FILE).write_text(text[:at] + text[at:].replace(old, new, 1))
    with pytest.raises(UserError, match=expected):
        sources.read_top(tmp_path)


def test_a_port_that_no_vector_is_known_for_is_named():
    package, images, start = dry_run.batch()
    gain = sources.Parameter("gain", "int32_t", True, True)
    with pytest.raises(UserError, match="memory port gain that no vector is known for"):
        vectors.arrays(package, images, start, sources.Top("uint64_t", (gain,), {}))


def test_each_memory_is_whole_elements_of_the_widest_port():
    package, images, start = dry_run.batch()
    package = replace(package, tables=package.tables[:-1])  # half of a row
    found = vectors.arrays(package, images, start, sources.read_top())
    widest = max(bits for kind, bits in isa.PORTS.values() if kind == "memory")
    assert all(data and 8 * len(data) % int(widest) == 0 for data in found.values())
    assert list(found) == [name for name, (kind, _) in isa.PORTS.items() if kind == "memory"]
