"""`--pool N` end to end: hard over every window, whatever runs the images and however they are cut; its report."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.standin import tiny
from bench.standin.board import Bench
from data.datasets import load_sample
from hls import golden, isa
from hls.pool import MOST, fresh
from hls.record import NO_BUDGET, Start, decode
from host import run as command
from host import sweep
from host.arguments import run_parser
from host.board import driver
from host.budgets import budget
from host.job import exits_under, read_job
from host.simulation import Cosim, Golden
from host.verdict import OverBudget, Windows, check_spent, window_sums

COUNT, POOL = 150, 7


@pytest.fixture
def path(tmp_path):
    return tiny.save(tmp_path / "tiny.npz")


@pytest.fixture
def batch():
    """(package, images, start): budgets between the two exits' costs, so that what is saved decides."""
    package, images = tiny.package(), load_sample()[0][:COUNT]
    first, last = package.exits[0], package.exits[-1]
    floors = {f"floor_{unit}": first[unit] for unit in ("flops", "cycles")}
    budgets = {f"budget_{unit}": (2 * first[unit] + last[unit]) // 3 for unit in ("flops", "cycles")}
    return package, images, package.start(pool=POOL, **budgets, **floors)


def expected(package, images, start):
    """(records, history) of one run without a cut."""
    history = fresh(start)
    return golden.run(package.program, package.weights, package.tables, images, start, history), history


def run(capsys, path, *argv):
    words = ["--package", path, "--backend", "golden", "--images", COUNT, "--json", "-", *argv]
    code = command.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1 and "Traceback" not in err
    return code, json.loads(out) if out else None, err


# ------------------------------------------------------------------------------------------------------ where it runs
def test_the_board_hands_the_history_from_batch_to_batch_and_from_run_to_run(batch, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "BATCH", 16)
    package, images, start = batch
    records, history = expected(*batch)
    assert len(set(decode(records, start).allowed_flops)) > 3
    with Bench(tmp_path, golden_model=True) as bench, bench.board() as board:
        carried, found = fresh(start), []
        for at, end in ((0, 50), (50, 51), (51, COUNT)):
            found.append(board.run(package, images[at:end], start, carried))
        assert np.array_equal(board.run(package, images, start), records)  # a fresh one
        assert not bench.machine.violations
    found = np.concatenate(found)
    found[:, isa.RECORD.index("image")] = np.arange(COUNT)
    assert np.array_equal(found, records) and np.array_equal(carried, history)


@pytest.mark.cosim
def test_threads_change_nothing(batch):
    records, history = expected(*batch)
    carried = fresh(batch[2])
    assert np.array_equal(Cosim(threads=3).run(*batch, carried), records) and np.array_equal(carried, history)


def test_boards_over_the_network_change_nothing(batch):
    pytest.importorskip("rpyc", reason="needs requirements/remote.txt")
    from bench.standin.remote import Boards
    from host.remote import client

    boards = Boards()
    names = ",".join(boards.add(name, Golden()) for name in ("zed1", "zed2"))
    package, images, start = batch
    records, history = expected(*batch)
    with client.Remote(names, print, connect=boards.connect) as remote:
        carried = fresh(start)
        found = [remote.run(package, images[at:end], start, carried) for at, end in ((0, 60), (60, COUNT))]
    found = np.concatenate(found)
    found[:, isa.RECORD.index("image")] = np.arange(COUNT)
    assert np.array_equal(found, records) and np.array_equal(carried, history)


# ----------------------------------------------------------------------------------------------------- what is reported
def test_the_report_says_what_the_pool_did(capsys, path):
    first, last = (tiny.package().exits[index]["flops"] for index in (0, -1))
    text = f"{(2 * first + last) // 3 / 1000}k"
    code, found, _ = run(capsys, path, "--budget", text, "--pool", POOL)
    pool, flops = found["pool"], found["pool"]["flops"]
    assert code == 0 and pool["images"] == POOL and pool["windows"] == COUNT - POOL + 1 and "cycles" not in pool
    assert flops["budget"] == found["budget"]["flops"] and flops["windows_over"] == 0
    assert 0 < flops["images_over"] < COUNT and flops["fullest_window_mean"] <= flops["budget"] < found["flops"]["max"]
    assert run(capsys, path, "--budget", text)[1]["pool"] is None
    command.main(["--package", str(path), "--backend", "golden", "--images", "40", "--budget", text, "--pool", "7"])
    out = capsys.readouterr().out
    assert "kept for any 7 images in a row" in out and "pool of 7" in out and "0 of 34 windows over" in out


def test_a_pool_of_one_is_a_budget_of_its_own(capsys, path):
    plain, pooled = (run(capsys, path, "--budget", "0.9ms", *more)[1] for more in ((), ("--pool", 1)))
    for found in (plain, pooled):
        del found["seconds"], found["images_per_second"], found["command"]
    assert plain == pooled


def test_the_floor_is_what_the_cheapest_exit_within_the_budget_needs(path):
    arguments = run_parser("x\n\nExit codes: 0").parse_args(["--package", str(path), "--pool", "5", "--images", "3"])
    job, first = read_job(arguments), tiny.package().exits[0]
    for text in ("1G", "20ms", "90mJ"):
        start = job.start(budget.parse(text))
        assert (start.pool, start.floor_flops, start.floor_cycles) == (5, first["flops"], first["cycles"])
    assert job.start(budget.parse("none")).pool == 1
    assert job.start(budget.parse("900T")).budget_flops == MOST - 1  # no image spends so much
    entropy = replace(job, exits=exits_under(job.package, isa.RULE_ENTROPY), rule=isa.RULE_ENTROPY)
    assert entropy.start(budget.parse("1G")).floor_flops == entropy.exits[0]["flops"]


@pytest.mark.parametrize("count", [0, -3, isa.MAX_POOL + 1])
def test_a_pool_out_of_range_is_one_line(capsys, path, count):
    with pytest.raises(SystemExit) as stop:
        run(capsys, path, "--pool", count, "--budget", "74M")
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1
    assert f"'{count}': expected a whole number from 1 to {isa.MAX_POOL}" in err


@pytest.mark.parametrize("argv", [
    ("--pool", 5), ("--pool", 5, "--limit", "1W"), ("--pool", 5, "--budget", "74M", "--schedule", "-"),
])  # fmt: skip
def test_what_makes_no_pool_is_one_line(capsys, path, argv):
    code, found, err = run(capsys, path, *argv)
    assert code == 2 and found is None and err.startswith("run: --") and ("give" in err or "leave" in err)


def test_a_sweep_takes_a_pool_and_does_not_mix_it_with_others(capsys, path, tmp_path):
    words = [
        "--package",
        path,
        "--backend",
        "golden",
        "--images",
        40,
        "--budgets",
        "20k,none",
        "--out",
        tmp_path / "out",
    ]
    least = tiny.package().exits[0]["flops"]
    words[7] = f"{2 * least / 1000}k,none"
    assert sweep.main([str(word) for word in (*words, "--pool", POOL)]) == 0
    (pooled,) = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("budget-*k.json")]
    assert pooled["pool"]["images"] == POOL and pooled["sweep"]["pool"] == POOL
    assert sweep.main([str(word) for word in words]) == 2
    assert "other pool" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ verdicts
def test_window_sums_are_those_of_a_loop():
    spent = np.random.default_rng(0).integers(0, 2**40, 30)
    for size in (1, 2, 7, 29, 30, 99):
        assert window_sums(spent, size).tolist() == [spent[max(0, at - size + 1) : at + 1].sum() for at in range(30)]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_window_over_the_pool_s_budget_is_loud_across_batches(batch, cut):
    """An engine that lends what nobody saved: its records say that it was allowed."""
    package, images, start = batch
    loose = replace(start, pool=1, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET)
    records = golden.run(package.program, package.weights, package.tables, images[:40], loose)
    windows = Windows()
    with pytest.raises(OverBudget, match=f"windows of {POOL} images went over .* this is a fault of the engine"):
        for at in range(0, 40, cut):
            results = decode(records[at : at + cut], start)
            check_spent(results, start, at)
            windows.check(results, start, at)


def test_an_image_over_what_it_was_allowed_is_loud(batch):
    package, images, start = batch
    results = decode(expected(package, images, start)[0], start)
    check_spent(results, start)
    Windows().check(results, start)
    spent = replace(results, flops=results.flops + (np.arange(COUNT) == 3) * results.allowed_flops)
    with pytest.raises(OverBudget, match="the first is image 3"):
        check_spent(spent, start)


def test_an_engine_that_ignores_a_pool_ends_with_code_3(capsys, path, monkeypatch):
    def free(self, package, images, start, history=None):
        loose = Start(start.gates, start.classes)
        return golden.run(package.program, package.weights, package.tables, images, loose)

    monkeypatch.setattr(Golden, "run", free)
    least = tiny.package().exits[0]["flops"]
    code, found, err = run(capsys, path, "--budget", f"{least / 1000}k", "--pool", POOL)
    assert code == 3 and found is None and "windows of 7 images went over" in err
