"""The engine as a shared library: it builds clean, touches nothing outside its buffers, and threads change nothing.

    pytest --cosim tests/hls/src/test_engine_build.py

What it computes is compared with the golden model in test_conformance.py.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls import cosim, golden, isa
from hls.program import encode, row_bytes
from hls.record import Start, agreed
from hls.stress import driver
from hls.stress.driver import Base, Case, Driver
from hls.stress.random_programs import random_program
from tests.hls.extremes import EXTREMES

# The processes one after the other: what the first leaves in its queues is all there before the second begins.
BOARD = (*cosim.FLAGS, "-D__SYNTHESIS__", "-DDDI_QUEUE_SCALE=4096")
TRAP = (*cosim.FLAGS, "-DDDI_CHIP", "-DDDI_TRAP")  # ends where a number does not fit its width (hls/src/widths.hpp)
BLOCK_RAM = 630 * 1024  # bytes of an xc7z020
HALF = 1 << 16 | 1
START = Start(gates=1, classes=2)
LAST_WEIGHTS = 1024 - 2 * row_bytes(2 * 3 * 3)  # where the small program's CONV may find its two rows


def small_program(**changes):
    """A short program with one instruction of each kind, fields replaced by `changes`, such as CONV__kernel=2."""
    code = [
        encode(isa.IMAGE, output=0, channels=2, height=9, width=11, weights=0),
        encode(isa.CONV, flags=isa.FLAG_IN_SIGNED | isa.FLAG_ADD, input=0, output=8, identity=16, in_channels=2,
               out_channels=2, height=9, width=11, kernel=3, stride=1, in_mask=0, out_mask=0, weights=512, table=0,
               pool=-1),
        encode(isa.AFFINE, input=8, output=24, in_channels=2, out_channels=2, height=9, width=11, stride=1,
               channel_offset=0, table=0, pool=-1, pool_scale=0),
        encode(isa.POOL, input=24, output=40, channels=2, height=9, width=11, kernel=3, stride=2, padding=1,
               scale=HALF),
        encode(isa.GLOBAL_POOL, input=40, output=0, channels=2, height=5, width=6, scale=HALF),
        encode(isa.FC, input=0, output=8, inputs=2, outputs=4, weights=512, table=0),
        encode(isa.LSTM, input=8, output=16, inputs=4, hidden=2, weights=512, table=0),
        encode(isa.GATE_CHANNEL, input=8, channels=4, threshold=0, mask=1, gate=-1),
        encode(isa.GATE_LAYER, input=0, threshold=0, target=9, gate=0, channels=2),
        encode(isa.TAP, exit=0, target=11, flops=10**6, cycles=10**6, threshold=0),
        encode(isa.END),
        encode(isa.EXIT, exit=0, input=8, classes=2, scale=HALF),
    ]  # fmt: skip
    program = np.stack(code)
    for name, value in changes.items():
        opcode, field = name.split("__")
        code = isa.OPCODES[opcode]
        program[program[:, 0] == code, 1 + isa.FIELDS[code].index(field)] = value
    rng = np.random.default_rng(3)
    weights = rng.integers(-128, 128, 1024, dtype=np.int8)
    tables = rng.integers(-(2**20), 2**20, 16, dtype=np.int32)
    return program, weights, tables, rng.integers(0, 256, (3, 9, 11, 2), dtype=np.uint8)


@pytest.mark.cosim
def test_builds_without_a_warning_and_fits_the_chip():
    assert cosim.build().exists()
    print(f"engine memories: {cosim.state_bytes()} of {BLOCK_RAM} bytes")
    assert isa.TILE_WORDS * isa.TILE**2 < cosim.state_bytes() <= BLOCK_RAM


@pytest.mark.cosim
def test_the_small_program_runs():
    records = cosim.run(*small_program(), START)
    assert records[:, 0].tolist() == [isa.STATUS_OK] * 3
    assert np.array_equal(records, golden.run(*small_program(), START))


FAILURES = [
    ("POOL__kernel", 8, isa.STATUS_BAD_FIELD, 3),
    ("POOL__stride", 3, isa.STATUS_BAD_FIELD, 3),
    ("CONV__flags", isa.FLAG_RAW, isa.STATUS_BAD_FIELD, 1),
    ("CONV__out_mask", 1, isa.STATUS_BAD_FIELD, 1),
    ("IMAGE__height", 8, isa.STATUS_BAD_FIELD, 0),
    ("GATE_LAYER__gate", 1, isa.STATUS_BAD_FIELD, 8),
    ("EXIT__classes", 3, isa.STATUS_BAD_FIELD, 11),
    ("TAP__flops", -1, isa.STATUS_BAD_FIELD, 9),
    ("AFFINE__pool", -2, isa.STATUS_BAD_FIELD, 2),
    ("AFFINE__pool", isa.VECTOR_WORDS - 1, isa.STATUS_BAD_VECTOR, 2),
    ("GLOBAL_POOL__output", isa.VECTOR_WORDS - 1, isa.STATUS_BAD_VECTOR, 4),
    ("LSTM__input", -1, isa.STATUS_BAD_VECTOR, 6),
    ("CONV__identity", isa.TILE_WORDS - 7, isa.STATUS_BAD_ADDRESS, 1),
    ("AFFINE__output", 1 << 30, isa.STATUS_BAD_ADDRESS, 2),
    ("AFFINE__output", isa.TILE_WORDS - 7, isa.STATUS_BAD_ADDRESS, 2),
    ("POOL__input", -1, isa.STATUS_BAD_ADDRESS, 3),
    ("CONV__output", 7, isa.STATUS_BAD_OVERLAP, 1),
    ("CONV__identity", 15, isa.STATUS_BAD_OVERLAP, 1),
    ("FC__output", 1, isa.STATUS_BAD_OVERLAP, 5),
    ("CONV__weights", LAST_WEIGHTS + isa.WEIGHT_ALIGN, isa.STATUS_BAD_WEIGHTS, 1),
    ("FC__weights", isa.WEIGHT_ALIGN // 2, isa.STATUS_BAD_WEIGHTS, 5),
    ("IMAGE__weights", -16, isa.STATUS_BAD_WEIGHTS, 0),
    ("CONV__table", 12, isa.STATUS_BAD_TABLE, 1),
    ("CONV__table", 9, isa.STATUS_BAD_TABLE, 1),  # inside, but a row is a word of the port: even addresses
    ("AFFINE__table", 11, isa.STATUS_BAD_TABLE, 2),
    ("FC__table", 7, isa.STATUS_BAD_TABLE, 5),
    ("LSTM__table", 2, isa.STATUS_BAD_TABLE, 6),
    ("LSTM__table", -1, isa.STATUS_BAD_TABLE, 6),
    ("GATE_LAYER__target", 8, isa.STATUS_BAD_TARGET, 8),
    ("TAP__target", 12, isa.STATUS_BAD_TARGET, 9),
    ("TAP__target", 10, isa.STATUS_BAD_OPCODE, 10),
]


@pytest.mark.cosim
@pytest.mark.parametrize(("name", "value", "status", "pc"), FAILURES)
def test_each_check_gives_its_status_and_instruction(name, value, status, pc):
    records = cosim.run(*small_program(**{name: value}), START)
    assert records[:, 0].tolist() == [status, isa.STATUS_NOT_RUN, isa.STATUS_NOT_RUN]
    assert records[0, isa.RECORD.index("pc")] == pc


JUST_INSIDE = [
    ("GLOBAL_POOL__output", isa.VECTOR_WORDS - 2),
    ("CONV__identity", isa.TILE_WORDS - 8),
    ("AFFINE__output", isa.TILE_WORDS - 8),
    ("CONV__output", 8),
    ("CONV__weights", LAST_WEIGHTS),
    ("CONV__table", 10),
    ("AFFINE__table", 12),
    ("AFFINE__pool", isa.VECTOR_WORDS - 2),
    ("FC__table", 8),
    ("TAP__exit", 255),
]


@pytest.mark.cosim
@pytest.mark.parametrize(("name", "value"), JUST_INSIDE)
def test_the_last_value_that_fits_is_taken(name, value):
    records = cosim.run(*small_program(**{name: value}), START)
    assert records[:, 0].tolist() == [isa.STATUS_OK] * 3
    assert np.array_equal(records, golden.run(*small_program(**{name: value}), START))


@pytest.mark.cosim
def test_an_unknown_opcode_and_a_program_without_end():
    program, *rest = small_program()
    program[4, 0] = len(isa.OPCODES)
    assert cosim.run(program, *rest, START)[0, [0, 2]].tolist() == [isa.STATUS_BAD_OPCODE, 4]
    program, *rest = small_program()
    assert cosim.run(program[:9], *rest, START)[0, [0, 2]].tolist() == [isa.STATUS_BAD_TARGET, 8]
    assert cosim.run(program[:8], *rest, START)[0, [0, 2]].tolist() == [isa.STATUS_BAD_TARGET, 8]


@pytest.mark.cosim
@pytest.mark.parametrize("change", [
    {"gates": -1}, {"gates": isa.MAX_GATES + 1}, {"classes": 0}, {"classes": isa.MAX_CLASSES + 1}, {"rule": -1},
    {"rule": 4}, {"rule": isa.RULE_CLASS, "target_class": 2}, {"rule": isa.RULE_CLASS, "target_class": -1},
    {"budget_flops": 2**63}, {"budget_cycles": 2**64 - 1}, {"budget_flops": -1}, {"threshold": 2**31},
])  # fmt: skip
def test_bad_start(change):
    with pytest.raises(cosim.CosimError, match="start") as error:
        cosim.run(*small_program(), replace(START, **change))
    assert "\n" not in str(error.value)


@pytest.mark.cosim
def test_an_empty_batch_or_program_is_refused():
    program, weights, tables, images = small_program()
    with pytest.raises(cosim.CosimError, match="BAD_START"):
        cosim.run(program, weights, tables, images[:0], START)
    with pytest.raises(cosim.CosimError, match="BAD_START"):
        cosim.run(program[:0], weights, tables, images, START)


def batch_that_fails_at(index, count=23):
    """Dark images skip the block, bright ones run it and pass the budget; image `index` is the first bright one."""
    program, weights, tables, _ = small_program(
        GLOBAL_POOL__input=0, GLOBAL_POOL__flags=isa.FLAG_IN_SIGNED, GLOBAL_POOL__height=9, GLOBAL_POOL__width=11,
        GATE_LAYER__target=4, EXIT__input=0
    )  # fmt: skip
    program = program[[0, 4, 8, 1, 11]]  # IMAGE, GLOBAL_POOL, GATE_LAYER over CONV, EXIT
    weights[:512] = np.tile(np.arange(-128, 128), 2)
    images = np.zeros((count, 9, 11, 2), np.uint8)
    images[index:] = 255
    return program, weights, tables, images


@pytest.mark.cosim
@pytest.mark.parametrize("index", [0, 1, 11, 12, 22])
def test_a_failure_stops_the_batch_whatever_the_threads(index):
    start = replace(START, budget_flops=100)
    records = [cosim.run(*batch_that_fails_at(index), start, threads=threads) for threads in (1, 2, 3, 7, 64)]
    expected = [isa.STATUS_OK] * index + [isa.STATUS_BUDGET_TOO_SMALL] + [isa.STATUS_NOT_RUN] * (22 - index)
    assert records[0][:, 0].tolist() == expected
    assert records[0][:, 1].tolist() == list(range(23))
    for other in records[1:]:
        assert np.array_equal(other, records[0])


@pytest.mark.cosim
def test_callers_in_several_threads_do_not_disturb_each_other():
    cases = [random_program(np.random.default_rng(seed)) for seed in range(24)]
    alone = [cosim.run(*case, forget=7) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = list(pool.map(lambda case: cosim.run(*case, threads=2, forget=7), cases))
            assert all(map(np.array_equal, alone, together))


@pytest.mark.cosim
def test_the_board_s_form_of_the_source_gives_the_same_records():
    """What the shim changes for synthesis: the chip's main loop, and memories that keep what they held."""
    cases = [random_program(np.random.default_rng(seed)) for seed in range(60)]
    expected = [cosim.run(*case) for case in cases]
    board = cosim.load(cosim.build(BOARD))
    for case, records in zip(cases, expected):
        assert np.array_equal(agreed(cosim.run(*case, library=board)), records)


@pytest.mark.cosim
def test_every_number_fits_its_width():
    """On the chip the bits that do not fit fall away; here they would end the process."""
    cases = [*(extreme() for extreme in EXTREMES), (*small_program(), START)]
    cases += [random_program(np.random.default_rng(seed)) for seed in range(60)]
    trapping = cosim.load(cosim.build(TRAP))
    for case in cases:
        assert np.array_equal(agreed(cosim.run(*case, library=trapping)), cosim.run(*case))


def bases_and_cases(programs):
    bases = [Base(*case) for case in programs]
    return bases, [Case(number, base.start, images=len(base.images)) for number, base in enumerate(bases)]


@pytest.mark.cosim
@pytest.mark.parametrize("flags", [(), ("-DDDI_CHIP",)])
def test_extremes_touch_nothing_outside_their_buffers(flags):
    """Under the address and undefined-behaviour sanitizers, in both shapes; mutated programs are test_fuzz.py's."""
    extremes = [*(extreme() for extreme in EXTREMES), (*small_program(), START)]
    bases, cases = bases_and_cases(extremes)
    for extreme, (_, records) in zip(bases, Driver(bases, flags=flags).run(cases)):
        expected = cosim.run(extreme.program, extreme.weights, extreme.tables, extreme.images, extreme.start)
        assert np.array_equal(agreed(records), expected)


@pytest.mark.cosim
def test_threads_share_nothing():
    """Under the thread sanitizer, a batch of several images in three threads."""
    programs = [random_program(np.random.default_rng(seed)) for seed in range(60)]
    programs = [case for case in programs if len(case[3]) > 1 and case[4].pool == 1][:20]
    programs.append((*batch_that_fails_at(12), START))
    bases, cases = bases_and_cases(programs)
    for case, (_, records) in zip(programs, Driver(bases, "thread", threads=3).run(cases)):
        assert np.array_equal(records, cosim.run(*case))


@pytest.mark.cosim
def test_the_thread_sanitizer_sees_one_engine_shared_by_threads(monkeypatch):
    sources = cosim.sources()
    shared = sources["shim.hpp"].replace(b"static thread_local", b"static")
    assert shared != sources["shim.hpp"]
    monkeypatch.setattr(cosim, "sources", lambda: {**sources, "shim.hpp": shared})
    bases, cases = bases_and_cases([(*batch_that_fails_at(12), START)])
    with pytest.raises(driver.Crash, match="data race"):
        Driver(bases, "thread", threads=3).run(cases)


def test_a_missing_compiler_gives_one_clear_line(monkeypatch, capsys):
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(cosim.CosimError, match=r"^no C\+\+ compiler '/nowhere/c\+\+': install g\+\+.*\$CXX$"):
        cosim.compiler()
    assert cosim.main() == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: no C++ compiler '/nowhere/c++': install g++ (apt-get install g++) or set $CXX"
    ]


@pytest.mark.cosim
def test_a_failed_build_gives_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(cosim, "BUILD", tmp_path)
    with pytest.raises(cosim.CosimError, match="no-such-flag") as error:
        cosim.build(("--no-such-flag",))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.cosim
def test_a_library_for_another_contract_is_refused(monkeypatch):
    path = cosim.build()
    monkeypatch.setattr(isa, "HASH", "another")
    with pytest.raises(cosim.CosimError, match="another"):
        cosim.load(path)


@pytest.mark.cosim
@pytest.mark.parametrize("index", range(4))
def test_arrays_of_another_kind_are_refused(index):
    arrays = list(small_program())
    arrays[index] = arrays[index].astype(np.float32)
    with pytest.raises(cosim.CosimError, match=("program", "weights", "tables", "images")[index]):
        cosim.run(*arrays, START)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A small library in place of the engine's: builds of it go to a folder of the test."""
    monkeypatch.setattr(cosim, "BUILD", tmp_path / "build")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "one.cpp"
    source.write_text('extern "C" int One() { return 1; }\n')
    made = []

    def make(target):
        made.append(target)
        cosim.compile_whole([cosim.compiler(), "-shared", "-fPIC"], source, "one.cpp", target)

    return lambda: (cosim.built("one.so", make), made)


@pytest.mark.cosim
def test_a_damaged_build_is_made_anew(quick):
    path, made = quick()
    assert path == cosim.BUILD / "one.so" and len(made) == 1 and quick()[1] == made
    whole = path.read_bytes()
    for damage in (whole[:-1], whole[: len(whole) // 2], bytes(len(whole)), b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damage)
        assert not cosim.is_whole(path)
        count = len(made)
        assert quick()[0] == path and cosim.is_whole(path) and len(made) == count + 1
    path.with_name("one.so.sha256").unlink()
    count = len(made)
    assert quick()[0] == path and len(made) == count + 1
    assert sorted(item.name for item in cosim.BUILD.iterdir()) == ["one.so", "one.so.sha256"]


@pytest.mark.cosim
def test_what_two_need_at_once_is_made_once(quick):
    with ThreadPoolExecutor(2) as pool:  # a lock on an open file, so two threads are like two processes
        (first, made), (second, _) = (future.result() for future in [pool.submit(quick) for _ in range(2)])
    assert first == second and cosim.is_whole(first) and len(made) == 1


@pytest.mark.cosim
def test_a_read_only_checkout_takes_its_own_build_or_one_in_the_cache(quick, tmp_path, monkeypatch):
    own, _ = quick()
    monkeypatch.setattr(cosim.places, "build", lambda _: pytest.fail("there is one"))
    assert quick()[0] == own
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cosim, "BUILD", Path("/proc/build"))
    assert quick()[0] == tmp_path / "cache" / "ddi-fpga" / "build" / "one.so"


def test_a_compiler_that_writes_nothing_is_one_line(tmp_path):
    with pytest.raises(cosim.CosimError, match=r"^true failed on a.cpp: exit code 0 and no file") as error:
        cosim.compile_whole(["true"], tmp_path / "a.cpp", "a.cpp", tmp_path / "a.so")
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []
