"""Rows that no longer hold are told: a cycle more, a point less, a speed below its noise, rows of another package."""

import pytest

from bench import engine
from bench.front import regression
from bench.front.regression import verdict
from bench.networks import oracle_speed
from bench.rows import Rows
from hls import isa
from hls.errors import UserError

HOST = {"cores": 2, "vector": "avx2", "machine": "x86_64"}
CYCLES = {
    "name": "a.cycles",
    "value": 1000.5,
    "unit": "cycles",
    "kind": "modelled",
    "package": "p",
    "host": HOST,
    "n": 9,
}
SPEED = {**CYCLES, "name": "a.speed", "value": 2.0, "unit": "ratio", "kind": "measured"}
SPEED["detail"] = {"lowest": 1.8, "highest": 2.3}


def test_counts_hold_by_equality_to_either_side():
    assert verdict(CYCLES, dict(CYCLES)) == ("", True)
    for other in (1000.4, 1000.6, 1000.5 * (1 + 1e-12)):
        text, holds = verdict({**CYCLES, "value": other}, CYCLES)
        assert not holds and "committed 1000.5" in text and "run python -m bench engine" in text
    share = {**CYCLES, "unit": "share", "value": 0.875}
    assert verdict({**share, "value": 0.875 * (1 + 1e-12)}, share)[1]
    assert not verdict({**share, "value": 0.8749}, share)[1] and not verdict({**share, "value": 0.8751}, share)[1]
    assert "bench main_command" in verdict({**CYCLES, "name": "main_command.x", "value": 1}, CYCLES)[0]


def test_rows_that_are_missing_or_of_another_package_do_not_hold():
    assert verdict(CYCLES, None) == ("no committed row: run python -m bench engine", False)
    text, holds = verdict(CYCLES, {**CYCLES, "package": "old"})
    assert not holds and "of package old, here is p" in text


@pytest.mark.parametrize("highest, holds", [(1.79, False), (1.8, True), (9.0, True)])
def test_a_speed_falls_where_its_best_is_below_the_committed_worst(highest, holds):
    now = {**SPEED, "value": 1.5, "detail": {"lowest": 1.0, "highest": highest}}
    assert verdict(now, SPEED)[1] is holds
    old = {key: value for key, value in SPEED.items() if key != "detail"}  # a row that does not tell its spread
    assert verdict(now, old)[1] is (highest >= 2)


def test_a_speed_of_another_machine_is_not_compared():
    now = {**SPEED, "detail": {"lowest": 0.1, "highest": 0.2}, "host": {**HOST, "vector": "neon"}}
    text, holds = verdict(now, SPEED)
    assert holds and "avx2" in text and "neon" in text


def test_ratios_are_those_of_one_repetition():
    speeds = {
        "cosim": [10.0, 20.0, 30.0],
        "int8 1": [5.0, 10.0, 20.0],
        "int8 64": [1.0, 1.0, 40.0],
        "float 1": [9.0] * 3,
    }
    assert oracle_speed.ratios(speeds, "cosim", "int8") == [2.0, 2.0, 1.5]
    rows = Rows("x", "c")
    oracle_speed.add_ratio(rows, "r", speeds, "cosim", "int8")
    assert rows.rows[0]["value"] == 2.0 and rows.rows[0]["detail"] == {"lowest": 1.5, "highest": 2.0}


def shapes_alone(threads, speeds):
    rows = Rows("regression", "c")
    engine.add_shapes(rows)
    return rows


def test_a_seeded_loss_in_the_schedule_fails_and_names_its_rows(monkeypatch, capsys):
    monkeypatch.setattr(regression, "fresh", shapes_alone)
    assert regression.main(["--exact"]) == 0 and "8 of 8 rows hold, 0 do not" in capsys.readouterr().out
    monkeypatch.setattr(isa, "FETCH", isa.FETCH + 1)  # a cycle more for each instruction
    assert regression.main(["--exact"]) == 1
    said = capsys.readouterr()
    assert "0 of 8 rows hold, 8 do not" in said.out
    assert said.err.count("error: ") == 8 and "error: array_busy.resnet20: 0.9" in said.err


def test_what_stops_the_run_is_one_line(monkeypatch, capsys):
    def broken(threads, speeds):
        raise UserError("no compiler")

    monkeypatch.setattr(regression, "fresh", broken)
    assert regression.main([]) == 2 and capsys.readouterr().err == "bench-check: no compiler\n"


@pytest.mark.cosim
def test_committed_rows_hold():
    assert regression.main(["--exact"]) == 0
