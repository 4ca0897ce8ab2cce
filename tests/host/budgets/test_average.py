"""--average-budget: which thresholds are chosen, what the engine does with them, what cannot be asked."""

import json
from dataclasses import replace

import pytest

from bench.standin import tiny
from hls import golden, isa
from hls.errors import UserError
from hls.package import PackageError, read, write
from hls.program import decode
from hls.record import decode as decode_records
from host import run as command
from host.budgets.average import choose

TABLE = {"flops": [100.0, 1500.5, 2000.0], "accuracy": [0.3, 0.4, 0.5], "thresholds": [[200_000], [70_000], [0]]}


@pytest.fixture
def path(tmp_path):
    package = tiny.package()
    package.meta["average"] = TABLE
    write(tmp_path / "tiny.npz", package)
    return tmp_path / "tiny.npz"


def run(capsys, path, *argv):
    options = ["--package", path, "--backend", "golden", "--images", 50, "--json", "-", *argv]
    code = command.main([str(word) for word in options])
    out, err = capsys.readouterr()
    return code, json.loads(out) if code == 0 else None, err


def own(package):
    return [decode(words)["threshold"] for words in package.program if words[0] == isa.TAP]


@pytest.mark.parametrize(("asked", "expected"), [("0.1k", 0), ("1.5k", 0), ("1501", 1), ("3k", 2), ("1G", 2)])
def test_the_dearest_setting_that_keeps_the_budget(path, asked, expected):
    package = read(path)
    if asked == "1501":
        asked = "1.501k"
    chosen = choose(package, asked)
    assert own(chosen.package) == TABLE["thresholds"][expected] and own(package) == [0]
    assert (chosen.flops, chosen.accuracy) == (TABLE["flops"][expected], TABLE["accuracy"][expected])


def test_an_image_stops_where_it_is_surer_than_the_exits_own_threshold(path, capsys):
    """One exit after 100 FLOPs: its entropies say which images stop there."""
    package = read(path)
    start = package.start(budget_flops=100)
    from data.datasets import load_sample

    images = load_sample()[0][:50]
    entropies = decode_records(
        golden.run(package.program, package.weights, package.tables, images, start), start
    ).entropy
    middle = int(sorted(entropies)[25])
    package.meta["average"] = {"flops": [1.0], "accuracy": [0.5], "thresholds": [[middle]]}
    write(path, package)
    code, found, _ = run(capsys, path, "--average-budget", "3k")
    assert code == 0 and found["exits"]["tap"]["images"] == int((entropies < middle).sum())
    assert found["rule"]["average"] == {"budget": "3k", "flops": 3000, "expected": 1.0, "accuracy": 0.5}


def test_a_hard_budget_holds_besides(path, capsys):
    code, found, _ = run(capsys, path, "--average-budget", "3k", "--budget", "3k")
    assert code == 0 and found["flops"]["max"] <= 3000


def test_the_table_names_it(path, capsys):
    command.main(["--package", str(path), "--backend", "golden", "--images", "20", "--average-budget", "2k"])
    assert "average budget     2k FLOPs, by an entropy threshold an exit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--average-budget", "1.5ms"], "is not in FLOPs"),
        (["--average-budget", "0.05k"], "below the cheapest average: give at least 0.0001M"),
        (["--average-budget", "much"], "is not a number with a unit"),
        (["--average-budget", "none"], "is not in FLOPs"),
        (["--average-budget", "3k", "--entropy", "0.3"], "give one of them"),
    ],
)
def test_what_cannot_be_asked(path, capsys, argv, message):
    code, _, err = run(capsys, path, *argv)
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_package_without_thresholds(path):
    package = read(path)
    bare = replace(package, meta=package.meta | {"average": {}})
    with pytest.raises(UserError, match="has no thresholds for an average: export it again"):
        choose(bare, "3k")


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": [[1], [2]]},
        {"thresholds": [[1, 2], [3, 4], [5, 6]]},
        {"thresholds": [[-1], [2], [3]]},
        {"flops": [3.0, 2.0, 1.0]},
        {"accuracy": [0.1, 0.2, "much"]},
    ],
)
def test_a_damaged_table_is_named(path, change):
    package = tiny.package()
    package.meta["average"] = TABLE | change
    with pytest.raises(PackageError, match="meta's average has"):
        write(path, package)
