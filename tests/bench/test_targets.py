"""The engine's targets beside its figures: what is met, what is not, and what bounds that."""

import pytest

from bench.front.tables import engine_table
from bench.rows import latest
from bench.sizes import targets


def rows_of(**values):
    names = {target.row: (target.aim, target.sign) for target in targets.TARGETS}
    assert not set(values) - set(names)
    return {name: {"value": value, "command": "python -m bench engine --data D"} for name, value in values.items()}


@pytest.mark.parametrize(("value", "met"), [(0.75, "yes"), (0.751, "no"), (0.5, "yes")])
def test_a_share_must_not_be_larger(value, met):
    row = rows_of(**{"points.zedboard.lut_share": value})
    assert f"| ≤ 0.75 | {met} | `bench engine` |" in targets.targets_table(row)[2]


@pytest.mark.parametrize(("value", "met"), [(2431, "yes"), (2430, "no"), (3871, "yes")])
def test_a_speed_must_not_be_smaller(value, met):
    line = targets.targets_table(rows_of(**{"resnet8.images_per_s_143MHz": value}))[2]
    assert line == f"| ResNet-8 at 143 MHz, images/s | {value:,} | ≥ 2,431 | {met} | `bench engine` |"


def test_what_is_missed_says_what_bounds_it_in_figures_of_rows():
    found = rows_of(**{"proportionality.mean": 0.9, "proportionality.random_masks": 0.87654})
    found["proportionality.ceiling"] = {"value": 0.94231}
    text = " ".join(" ".join(targets.targets_table(found)[4:]).split())
    assert "0.942 would be reached" in text and "pairs reach ?, others 0.877" in text
    found = rows_of(**{"proportionality.mean": 0.96})
    assert targets.targets_table(found)[3:] == [""]


def test_what_was_repeated_shows_its_range():
    assert targets.shown({"value": 0.9501, "detail": {"lowest": 0.7541, "highest": 1.2387}}) == "0.95 (0.754–1.24)"
    assert targets.shown({"value": 0.5, "detail": {"n": 3}}) == "0.5" and targets.shown({"value": 2430.6}) == "2,431"


def test_both_pages_have_one_aim():
    """docs/results.md shows some of the rows, too, whatever target a row was written with."""
    name = "proportionality.p5"
    assert engine_table({name: {"value": 0.5, "kind": "modelled", "target": 0.1}})[2].endswith(
        "| 0.5 | 0.92 | modelled |"
    )
    assert engine_table({"gates.share": {"value": 0.5, "kind": "modelled"}})[2].endswith("| 0.5 |  | modelled |")


def test_every_target_and_every_figure_of_a_bound_has_a_row():
    rows = latest()
    assert [target.row for target in targets.TARGETS if target.row not in rows] == []
    assert not [line for line in targets.targets_table(rows) if "?" in line]
