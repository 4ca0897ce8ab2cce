"""Tables of gates: each figure stands in its own package's column, and what was not measured is left out."""

from bench.gates import tables


def rows(**values):
    return {name.replace("__", "."): {"value": value} for name, value in values.items()}


def test_controls_stand_under_their_package():
    found = rows(
        controls__a__dynamic__accuracy=0.9, controls__a__dynamic__flops=4.3e7,
        controls__a__dynamic_twin_p_value=0.00123,
        controls__b__dynamic__accuracy=0.8, controls__b__dynamic__flops=1e7, controls__b__alike__accuracy=0.7,
        controls__b__alike__flops=2e7, controls__b__wrong_minus_right=12345.6,
    )  # fmt: skip
    lines = tables.controls_table(found)
    assert lines[0] == "| | a | b |"
    assert "| **gates alone**, all images to the end | 90.00 % at 43M | 80.00 % at 10M |" in lines
    assert "| static ResNet, trained alike |  | 70.00 % at 20M |" in lines
    assert "| its p-value (McNemar) | 0.001 |  |" not in lines and "| its p-value | 0.001 |  |" in lines
    assert "| FLOPs of wrong images minus those of right ones |  | +12,346 |" in lines
    assert len(lines) == 6


def test_a_twin_is_shown_at_its_best():
    """What the points are counted against stands beside them."""
    found = rows(
        controls__a__dynamic__accuracy=0.9, controls__a__dynamic__flops=4e7,
        controls__a__twin__accuracy=0.903, controls__a__twin__flops=4e7,
        controls__a__twin_bn__accuracy=0.902, controls__a__twin_bn__flops=4e7,
        controls__a__twin_retrained__accuracy=0.9, controls__a__twin_retrained__flops=4e7,
        controls__a__dynamic_minus_twin=-0.3,
    )  # fmt: skip
    assert "| its static twin at its best | 90.30 % at 40M |" in tables.controls_table(found)
    del found["controls.a.twin.accuracy"]
    assert "| its static twin at its best | 90.20 % at 40M |" in tables.controls_table(found)


def test_budgets_are_named_as_a_user_gives_them():
    found = rows(
        pool__a__budget=5.5e7, pool__a__hard__accuracy=0.8, pool__a__hard__flops=5e7, pool__a__none__accuracy=0.9,
        pool__a__none__flops=9e7, pool__a__average__accuracy=0.88, pool__a__average__flops=5.4e7,
        pool__a__average__won_back=0.8,
    )  # fmt: skip
    lines = tables.pool_table(found)
    assert lines[2] == "| a |  | none | 90.00 % at 90M |  |"
    assert lines[4] == "| a | 55.0M | `--average-budget` | 88.00 % at 54M | 80% |"


def test_changes_stand_beside_the_plain_run():
    found = rows(
        shortcuts__plain__accuracy=0.5, shortcuts__plain__processor_minutes=10.04, shortcuts__exits__accuracy=0.484,
        shortcuts__exits__first_exit=0.25, shortcuts__exits__processor_minutes=11.0,
    )  # fmt: skip
    assert tables.shortcuts_table(found)[2:] == [
        "| plain | 50.0 % |  |  | 10.0 |",
        "| exits | 48.4 % | -1.6 | 25.0 % | 11.0 |",
    ]


def test_gated_steps_stand_beside_plain_ones():
    found = rows(
        training__a__gated_over_plain=0.8125, training__a__plain_images_per_s=160.4,
        training__a__gated_images_per_s=130.2,
    )  # fmt: skip
    assert tables.training_table(found)[2:] == ["| a | 160 | 130 | 0.81 |"]
