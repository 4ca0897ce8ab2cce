"""The board's driver on the board in software: the same bits as the golden model, and what it does in which order.

    pytest tests/host/board/test_board.py              # the golden model inside the board
    pytest --cosim tests/host/board/test_board.py      # the C++ engine too

What can go wrong is in test_board_faults.py.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench.standin import machine as standin
from bench.standin import tiny
from bench.standin.board import Bench
from bitstreams import points
from data import datasets
from hls import golden, isa
from hls.errors import UserError
from hls.generate import variant
from hls.record import Start
from host import backends, server
from host.backend import BackendMissing
from host.backends import open_backend
from host.board import driver, machine, overlay, ports
from host.board.buffers import Buffers
from host.board.engine import Interrupt, Timer
from host.board.lock import BoardLock
from tests.hls.packages import random_package

START = Start(gates=1, classes=10)


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path, golden_model=True) as bench:
        yield bench


def reference(package, images, start):
    return golden.run(package.program, package.weights, package.tables, images, start)


def sample(count):
    return datasets.load_sample()[0][:count]


# -------------------------------------------------------------------------------------------------------------- results
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 131, 193])
def test_records_are_the_golden_models_for_any_number_of_images(bench, count, monkeypatch):
    monkeypatch.setattr(driver, "BATCH", 64)
    package, images = tiny.package(), sample(count)
    with bench.board() as board:
        assert np.array_equal(board.run(package, images, START), reference(package, images, START))
    assert bench.machine.starts == -(-count // 64)
    assert bench.machine.leaks() == 0 and not bench.machine.violations


@pytest.mark.parametrize("seed", range(8))
def test_random_packages_and_start_parameters(bench, seed, monkeypatch):
    monkeypatch.setattr(driver, "BATCH", 3)
    package = random_package(seed)
    height, width, channels = package.image_shape
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (7, height, width, channels), dtype=np.uint8)
    rule = int(random.integers(0, 4))
    worst = max(item["flops"] for item in package.exits)
    target, threshold = int(random.integers(package.classes)), int(random.integers(-9, 90000))
    budget = int(worst * random.uniform(0.1, 1.2))
    limits = {"budget_flops": budget, "map_words": package.map_words}
    start = Start(package.gates, package.classes, rule=rule, threshold=threshold, target_class=target, **limits)
    with bench.board() as board:
        assert np.array_equal(board.run(package, images, start), reference(package, images, start))
    assert bench.machine.leaks() == 0 and not bench.machine.violations


def test_the_safe_point_s_engine_is_driven_as_well(tmp_path):
    """It has one port of weights: the process finds its hls, and its package, in a folder of their own."""
    pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
    variant.write(tmp_path, points.point("zedboard", "safe").sizes)
    points.reprice_into(tmp_path, points.ROOT / "packages" / "fashion-mnist.npz")
    (tmp_path / "drive.py").write_text(DRIVE)
    command = [sys.executable, "-m", "drive", str(tmp_path)]
    ran = subprocess.run(command, env={**os.environ, **points.environment(tmp_path)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-500:]
    assert ran.stdout == "['weights0'] True\n"


DRIVE = """
import sys
import numpy as np
from bench.standin.board import Bench
from data.datasets import load_sample
from hls import golden, isa
from hls.package import read
from host.job import package_path

package, images = read(package_path("fashion-mnist")), load_sample()[0][:3]
start = package.start(budget_flops=74_000_000)
with Bench(sys.argv[1], golden_model=True) as bench, bench.board() as board:
    found = board.run(package, images, start)
expected = golden.run(package.program, package.weights, package.tables, images, start)
print([name for name in isa.PORTS if name.startswith("weights")], np.array_equal(found, expected))
"""


def test_a_memory_ends_with_a_whole_word_of_its_port(bench):
    """Tables of an odd size: the port reads a bias with its scale."""
    package, images = tiny.package(), sample(3)
    package = replace(package, tables=package.tables[:255])
    with bench.board() as board:
        assert np.array_equal(board.run(package, images, START), reference(package, images, START))
    assert not bench.machine.violations


@pytest.mark.cosim
def test_the_co_simulation_inside_gives_the_same(tmp_path):
    package, images = tiny.package(), sample(150)
    with Bench(tmp_path) as bench, bench.board(interrupt=True) as board:
        assert bench.machine.run_engine is not golden.run
        assert np.array_equal(board.run(package, images, START), reference(package, images, START))


@pytest.mark.parametrize("at", [0, 5, 9, 10, 24])
def test_after_an_image_that_failed_the_others_are_not_run(bench, at, monkeypatch):
    """Whichever batch it is in: as one engine would that had all of them at once."""
    monkeypatch.setattr(driver, "BATCH", 5)
    package, start = tiny.package(), Start(1, 10)
    costs = reference(package, sample(400), start)[:, isa.RECORD.index("flops_low")]
    cheap, dear = (sample(400)[costs == value] for value in (costs.min(), costs.max()))
    images = np.concatenate([cheap[:at], dear[:1], cheap[: 24 - at]])
    start = Start(1, 10, budget_cycles=package.exits[0]["cycles"] - 1)
    expected = reference(package, images, start)
    assert len(set(expected[:, 0].tolist())) >= 2
    with bench.board() as board:
        assert np.array_equal(board.run(package, images, start), expected)
        images = images[::-1].copy()
        assert np.array_equal(board.run(package, images, start), reference(package, images, start))


def test_packages_and_widths_may_change_between_runs(bench):
    first, second = tiny.package(seed=1), tiny.package(seed=2, classes=7)
    images = sample(70)
    with bench.board() as board:
        for package in (first, second, first, first):
            start = Start(1, package.classes)
            assert np.array_equal(board.run(package, images, start), reference(package, images, start))


# -------------------------------------------------------------------------------------------------- the order of things
def test_a_package_is_copied_once_and_arguments_are_written_once(bench):
    writes = []
    original = standin.Machine.write
    with bench.board() as board:
        bench.machine.write = lambda address, word: (writes.append(address), original(bench.machine, address, word))
        package = tiny.package()
        board.run(package, sample(8), START)
        program, first = board._buffers.held("program"), len(writes)
        board.run(package, sample(8), START)
        assert board._buffers.held("program") is program
        assert len(writes) - first < 3 < first  # the start, and nothing else that had changed
        board.run(tiny.package(), sample(8), START)
        assert np.array_equal(board._buffers.held("program"), package.program.reshape(-1))


def test_the_next_batch_is_put_in_place_while_the_engine_runs(bench, monkeypatch):
    monkeypatch.setattr(driver, "BATCH", 4)
    events = []
    for name in ("_put", "_start", "_wait", "_fetch"):
        original = getattr(driver.Pynq, name)

        def noted(self, *arguments, name=name, original=original):
            events.append(name[1:])
            return original(self, *arguments)

        monkeypatch.setattr(driver.Pynq, name, noted)
    with bench.board() as board:
        board.run(tiny.package(), sample(12), START)
    assert events == ["put", *["start", "put", "wait"], *["start", "fetch", "put", "wait"],
                      *["start", "fetch", "wait"], "fetch"]  # fmt: skip


def test_cycles_are_counted_by_the_hardware(bench):
    package, images = tiny.package(), sample(100)
    with bench.board() as board:
        records = board.run(package, images, START)
        modelled = records[:64, isa.RECORD.index("cycles_low")].mean()
        assert board.measured_cycles.shape == (100,) and board.measured_cycles[0] >= modelled
        assert len(set(board.measured_cycles[:64])) == 1 and 0 < board.busy_share <= 1
        board.run(package, images[:5], START)
        assert board.measured_cycles.shape == (5,)


def test_the_timer_is_read_again_when_its_low_half_runs_over():
    class Mmio:
        """High half, low half, high half; in the middle of the first three reads it runs over."""

        def __init__(self):
            self.answers = [5, 0xFFFFFFFF, 6, 6, 2, 6]

        def read(self, _):
            return self.answers.pop(0)

        def write(self, *_):
            pass

    assert Timer(Mmio()).read() == 6 << 32 | 2


def test_the_engine_is_asked_for_its_contract_before_anything_else(bench):
    with bench.board() as board:
        assert bench.machine.starts == 0 and bench.machine.downloads == 1
        assert isa.HASH in board.version and "142.9 MHz" in board.title and board.clock_hz == pytest.approx(142857143)


def test_memory_that_is_short_halves_the_batches(bench):
    bench.machine.faults["memory"] = 100_000
    package, images = tiny.package(), sample(70)
    with bench.board() as board:
        assert np.array_equal(board.run(package, images, START), reference(package, images, START))
    assert bench.machine.starts > 4 and bench.machine.leaks() == 0


def test_after_a_failure_the_same_driver_runs_again(bench, monkeypatch):
    monkeypatch.setattr(driver, "FLOOR_S", 2.0)
    package, images = tiny.package(), sample(70)
    with bench.board() as board:
        bench.machine.faults["never_done"] = 2
        with pytest.raises(UserError, match="images 64 to 69"):
            board.run(package, images, START)
        assert bench.machine.leaks() == 0
        bench.machine.faults.clear()
        assert np.array_equal(board.run(package, images, START), reference(package, images, START))


def test_the_deadline_grows_with_the_package_and_shrinks_with_the_budget(bench, monkeypatch):
    asked = []
    package = tiny.package()
    with bench.board() as board:
        engine = board._engine
        wait = engine.wait
        monkeypatch.setattr(
            engine, "wait", lambda expected, deadline: (asked.append(deadline), wait(expected, deadline))[1]
        )
        board.run(package, sample(10), START)
        board.run(package, sample(20), START)
        board.run(package, sample(20), Start(1, 10, budget_cycles=package.exits[0]["cycles"]))
    worst = max(item["cycles"] for item in package.exits) / 142857143
    assert asked[0] == pytest.approx(driver.FLOOR_S + 10 * driver.MARGIN * worst)
    assert asked[1] == pytest.approx(driver.FLOOR_S + 20 * driver.MARGIN * worst) and asked[2] < asked[1]


@pytest.mark.parametrize(
    ("fault", "value", "expected"),
    [
        ("partial", 3, "the record of image 3 is not there"),
        ("hash", "12345678", "stopped before image 0 was run .it answers with 12345678"),
        ("status", isa.STATUS_BAD_START, "stopped before image 0 was run .image 0: BAD_START"),
        ("numbers", True, "the record of image 0 is not there"),
        ("invalidate", True, "the record of image 0 is not there"),
        ("never_done", 2, "images 0 to 4, and was stopped"),
        ("flush_error", True, "Buffer Flush Failed"),
    ],
)
def test_a_second_run_does_not_take_the_first_ones_records(bench, fault, value, expected, monkeypatch):
    monkeypatch.setattr(driver, "FLOOR_S", 0.5)
    package, images = tiny.package(), sample(5)
    with bench.board() as board:
        board.run(package, images, START)
        bench.machine.faults[fault] = value
        with pytest.raises(UserError, match=expected):
            board.run(package, images, START)


def test_logic_that_another_program_has_loaded_is_not_touched(bench):
    """What is at the engine's address then may not answer, and the processor would stop."""
    with bench.board() as board:
        bench.machine.download(bench.machine.hardware)
        bench.machine.faults["bus"] = 0
        with pytest.raises(UserError, match="another program has loaded the board's logic"):
            board.run(tiny.package(), sample(2), START)
        bench.machine.faults.clear()
        assert board.run(tiny.package(), sample(2), START)[:, 0].tolist() == [isa.STATUS_OK] * 2


def test_interrupts_are_asked_for_and_used(bench):
    for interrupt in (False, True):
        with bench.board(interrupt=interrupt) as board:
            for _ in range(3):
                board.run(tiny.package(), sample(5), START)
            assert isinstance(board._engine._waiting, Interrupt) == interrupt
    assert bench.machine.interrupts == 3


def test_a_user_reaches_the_interrupt(bench):
    """By host/run.py; where it is not to be had the report says that the engine was polled; a simulation has none."""
    summary = json.loads(bench.command("--interrupt", "--images", 5, "--json", "-")[1])
    assert summary["engine"]["title"].endswith(", by interrupt)") and bench.machine.interrupts == 1
    bench.machine.faults["no_uio"] = True
    summary = json.loads(bench.command("--interrupt", "--images", 5, "--json", "-", backend="auto")[1])
    assert "polled: its interrupt is not to be had" in summary["engine"]["title"] and bench.machine.interrupts == 1
    code, _, line = bench.command("--interrupt", backend="golden")
    assert code == 2 and line.startswith("--interrupt is for a board") and "\n" not in line
    with open_backend(server._parser().parse_args(["--interrupt"]), print) as board:  # and for boards elsewhere
        bench.machine.faults.clear()
        assert board.name == "pynq" and "interrupt" in board.title


@pytest.mark.parametrize("fault", ["flush", "invalidate"])
def test_the_board_in_software_has_a_cache_that_must_be_cared_for(bench, fault):
    """A driver that forgot it would fail here: without writing back the engine reads what was in memory before."""
    package, images = tiny.package(), sample(5)
    with bench.board() as board:
        bench.machine.faults[fault] = True
        try:
            wrong = board.run(package, images, START)
        except UserError as error:
            assert "record of image 0 is not there" in str(error) or "stopped" in str(error)
        else:
            assert not np.array_equal(wrong, reference(package, images, START))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, standin.BusError])
def test_nothing_stays_held_whenever_it_ends(bench, monkeypatch, failure):
    """An end at any access to the bus, from loading to the last record: Ctrl-C, or a bus that fails from then on."""
    monkeypatch.setattr(driver, "BATCH", 2)
    monkeypatch.setattr(driver, "GRACE_S", 0.01)
    monkeypatch.setattr(machine, "RATE_S", 0.001)
    package, images = tiny.package(), sample(5)
    expected, device, left = reference(package, images, START), bench.machine._device, [0]

    def ends(address):
        left[0] -= 1
        if left[0] == 0 or (left[0] < 0 and failure is not KeyboardInterrupt):
            raise failure
        return device(address)

    def run(after):
        left[0] = after
        with bench.board() as board:
            return board.run(package, images, START)

    bench.machine._device = ends
    assert np.array_equal(run(10**9), expected)
    accesses = 10**9 - left[0]
    for after in range(1, accesses - 4, 7):  # the last ones stop the timer
        try:
            run(after)
        except (KeyboardInterrupt, UserError):
            pass
        else:
            assert left[0] >= 0, after  # a machine that was less busy looked less often at the engine: nothing failed
        assert bench.machine.leaks() == 0, after
        BoardLock(bench.lock).close()
    assert accesses > 100 and np.array_equal(run(10**9), expected) and not bench.machine.violations


# -------------------------------------------------------------------------------------------------------- bad arguments
@pytest.mark.parametrize(
    ("images", "start", "expected"),
    [
        (np.zeros((2, 32, 32, 3), np.int8), START, "images are int8"),
        (np.zeros((2, 28, 28, 3), np.uint8), START, "expected uint8"),
        (np.zeros((0, 32, 32, 3), np.uint8), START, "BAD_START: images_count is 0"),
        (np.zeros((1, 32, 32, 3), np.uint8), Start(1, 0), "BAD_START: classes is 0"),
        (np.zeros((1, 32, 32, 3), np.uint8), Start(1, 10, threshold=2**31), "expected 32 bits"),
        (np.zeros((1, 32, 32, 3), np.uint8), Start(1, 10, budget_flops=2**63), "BAD_START: budget_flops"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_before(bench, images, start, expected):
    with bench.board() as board:
        with pytest.raises(UserError, match=expected):
            board.run(tiny.package(), images, start)
        assert bench.machine.starts == 0


def test_a_port_that_the_driver_does_not_know_is_named():
    driver.check_ports(isa.PORTS)
    for kind in ("memory", "scalar"):
        with pytest.raises(UserError, match=f"has a {kind} port gain that the driver does not know"):
            driver.check_ports({**isa.PORTS, "gain": [kind, 32]})


def test_the_engine_gets_memory_of_its_own(bench):
    package, images = tiny.package(), sample(70)
    with bench.board() as board:
        for map_words in (193, 0, 7):
            start = Start(1, 10, map_words=map_words)
            assert np.array_equal(board.run(package, images, start), reference(package, images, start))
            assert board._buffers.held("maps").nbytes == max(map_words * isa.TILE**2, 8)
    assert bench.machine.leaks() == 0 and not bench.machine.violations


@pytest.mark.parametrize(("count", "item_bytes", "expected"), [(0, 4, 2), (1, 4, 2), (3, 4, 4), (5, 1, 8), (16, 1, 16)])
def test_buffers_have_room_for_whole_words(count, item_bytes, expected):
    assert ports.room(count, item_bytes) == expected


def test_arguments_are_all_of_the_contracts_and_no_other(bench):
    with bench.board() as board, pytest.raises(UserError, match="argument gain: update host"):
        board._engine.write({**dict.fromkeys(isa.PORTS, 0), "gain": 1})


def test_overlay_json_has_a_port_for_each_of_the_engines_memories():
    design = overlay.read()
    memories = [name for name, (kind, _) in isa.PORTS.items() if kind == "memory"]
    assert set(memories) <= set(design.memory_ports)
    assert set(design.memory_ports.values()) <= {f"S_AXI_HP{number}" for number in range(4)}
    last = max(offset + 4 * words for offset, words in isa.REGISTERS.values())
    blocks = (design.engine, design.timer, design.interrupt_controller)
    assert design.engine.range >= last and design.interrupt.startswith(design.engine.ip)
    ends = sorted((block.base, block.base + block.range) for block in blocks)
    assert all(end <= base for (_, end), (base, _) in pairwise(ends))
    assert all(0x40000000 <= block.base < 0x80000000 and block.base % block.range == 0 for block in blocks)


@pytest.mark.parametrize("text", ["", "{}", '{"design": 3}', "[1]"])
def test_a_damaged_overlay_json(tmp_path, text):
    path = tmp_path / "overlay.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"cannot be used .*restore it"):
        overlay.read(path)


# ------------------------------------------------------------------------------------------------------ choice and lock
def test_without_pynq_auto_says_nothing_of_boards(monkeypatch):
    monkeypatch.setattr(machine, "present", lambda: False)
    said = []
    with backends.choose("auto", 1, said.append) as backend:
        assert backend.name in ("cosim", "golden")
    assert not any("pynq" in line for line in said)
    assert backends.NAMES[:2] == ("auto", "pynq")


def test_auto_takes_the_board_and_passes_over_one_without_a_bitstream(bench):
    said = []
    with backends.choose("auto", 1, said.append) as backend:
        assert (backend.name, said) == ("pynq", [])
    (bench.folder / "zedboard" / "ddi.bit").unlink()
    with backends.choose("auto", 1, said.append) as backend:
        assert backend.name in ("cosim", "golden") and "no bitstream" in said[0]
    with pytest.raises(BackendMissing, match="no bitstream"):
        backends.choose("pynq", 1, said.append)


def test_auto_does_not_pass_over_a_board_that_fails(bench):
    bench.machine.faults["hash"] = "0" * 16
    with pytest.raises(UserError, match="contract 00000000"):
        backends.choose("auto", 1, print)


def test_a_second_driver_is_told_who_holds_the_board(bench):
    with bench.board(), pytest.raises(UserError, match=r"in use by process \d+ \(.*\) since \d{4}-"):
        bench.board()
    bench.board().close()


def test_a_lock_whose_file_says_nothing(tmp_path):
    path = tmp_path / "lock"
    with BoardLock(path):
        path.write_text("nonsense")
        with pytest.raises(UserError, match="in use by another process"):
            BoardLock(path)
    with BoardLock(path):
        assert str(driver.default_path("zedboard")).endswith("ddi-zedboard.lock")
    assert path.read_text() == ""


def test_buffers_are_kept_while_they_fit_and_given_back(bench):
    with bench.board() as board, Buffers(board._pynq, 64) as buffers:
        first = buffers.get("a", 8, np.int32)
        assert buffers.get("a", (8,), np.int32) is first
        assert buffers.get("a", 9, np.int32) is not first and len(bench.machine.buffers) == 1
        buffers.get("b", (2, 3), np.uint8)
        assert buffers.held("b").shape == (2, 3)
    assert bench.machine.leaks() == 0
