"""The papers' tables and figures: what is ours is of rows or run, what is cited has its source."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from bench.front.page import everything
from bench.packages import PACKAGES, fingerprint
from bench.papers import table1
from bench.papers.figures import budgets, cited, classes, curves, looks, page, runs
from hls.errors import UserError

SHA = fingerprint("fashion-mnist")


def rows(package=None, **values):
    return {name.replace("__", "."): {"value": value, "package": package} for name, value in values.items()}


def short_run(name, accuracy, flops, **more):
    found = {f"papers.{name}.dynamic.accuracy": accuracy, f"papers.{name}.dynamic.flops": flops}
    found |= {f"papers.{name}.{key.replace('__', '.')}": value for key, value in more.items()}
    return {key: {"value": value, "package": None} for key, value in found.items()}


# ------------------------------------------------------------------------------------------------------- the items
def test_every_item_has_something_to_show_and_a_command_where_it_is_no_repetition():
    items = page.items()
    assert set(page.DRAWN) | set(page.TABLES) <= set(items) and len(items) > 25
    for name, item in items.items():
        shown = name in page.DRAWN or name in page.TABLES
        assert shown or "full" in item, f"{name}: neither ours nor a command"
        assert all(cited.group(group)["source"] for group in item.get("cited", []))
    papers = " ".join(item["paper"] for item in items.values())
    for wanted in ("Fig. 6", "Fig. 12", "Fig. 15", "Table III", "ICCV Table 2", "ACS Table 5", "Class exits Table 6"):
        assert wanted in papers


def test_recipes_that_a_command_names_are_there():
    for item in page.items().values():
        for path in re.findall(r"training/recipes/\S+\.toml", item.get("full", "")):
            assert (PACKAGES.parent / path).is_file()


def test_without_rows_an_item_says_so_and_names_its_command():
    for name in ("fig6", "fig9", "table1", "acs-table4", "class-fig4"):
        drawn, text = page.one(name, {})
        assert drawn == "" and "Ours: not run yet." in text and "```\npython -m " in text and "figures/" not in text


def test_an_unknown_name_is_one_line():
    with pytest.raises(UserError, match="--figure fig99: expected one of fig6, fig7"):
        everything.run(["fig99"], check=True)


def test_rows_of_other_packages_are_left_out():
    found = rows(SHA, a=1) | rows("0123456789ab", b=2) | rows(None, c=3)
    assert set(page.current(found)) == {"a", "c"}


# -------------------------------------------------------------------------------------------------------- the cited
def test_cited_values_are_the_papers():
    """Right values, read in the papers once more."""
    table1_rows = cited.group("jstsp-table1")["rows"]
    assert [row["energy_saved"] for row in table1_rows] == [36.08, 47.10, 57.30, 66.79, 78.20]
    assert [row["accuracy"] for row in table1_rows] == [93.65, 93.33, 93.06, 92.54, 91.90]
    assert (74, 92.82, "ResNet74-DDI") in cited.points("jstsp-table2")
    assert cited.points("elsewhere")[0] == (181, 93.6, "BlockDrop, ResNet-110")
    assert "| fpgaConvNet, ResNet-8 int8 |  | 2,431 |" in "\n".join(cited.table("fpga"))


def test_cited_rows_say_that_they_are_and_where_from():
    found = cited.rows()
    assert len(found) > 150
    for row in found.values():
        assert row["kind"] == "cited" and row["source"] and isinstance(row["value"], (int, float))
    assert found["cited.jstsp-table1.0.energy_saved"]["value"] == 36.08


def test_every_cited_group_is_used():
    used = {group for item in page.items().values() for group in item.get("cited", [])}
    used |= {getattr(one, "keywords", {}).get("group") for one in page.TABLES.values()} - {None}
    assert set(cited.groups()) == used | {"class-table3", "fpga", "fpga-gains"}  # the last by classes.py and beside.py


# ------------------------------------------------------------------------------------------------------------ ours
def test_short_runs_stand_beside_the_printed():
    found = short_run("acs-gn", 0.5, 8e6) | short_run("plain-resnet", 0.6, 1.3e7)
    lines = curves.beside(found, "acs-table3")
    assert "| baseline | 86.70 % | 69.65M | `plain-resnet` | 60.0 % | 13.00M |" in lines
    assert "| ACS (GN + DG) | 88.64 % | 26.44M | `acs-dg` | no rows yet |  |" in lines
    assert curves.beside({}, "acs-table3") == []


def test_short_runs_at_other_savings_follow_their_method():
    found = short_run("iadi-60", 0.4, 5e6) | short_run(
        "iadi", 0.5, 8e6, twin_retrained__accuracy=0.6, twin_retrained__flops=8e6
    )
    assert curves.ran(found, ["skipnet", "iadi"]) == ["iadi", "iadi-60"]
    lines = curves.short_runs_table(found, ["iadi"])
    assert lines[0].endswith("| static twin | cycles |") and "| `iadi` | 50.0 % | 8.00M | 60.0 % |  |" in lines
    assert "their static twins" in curves.over_savings(found, ["iadi"], "t", "s")
    assert "every gate fixed" in curves.over_savings(short_run("iadi", 0.5, 8e6, static_majority_bn__accuracy=0.4,
                                                     static_majority_bn__flops=8e6), ["iadi"], "t", "s")  # fmt: skip


def test_drawings_are_the_same_text_twice():
    found = short_run("skipnet", 0.4, 8e6) | short_run("plain-resnet", 0.6, 1.3e7, gate_share=0.0)
    for name in ("fig9", "acs-fig4"):
        first, second = page.DRAWN[name](found), page.DRAWN[name](found)
        assert first == second and first.startswith("<?xml") and "<dc:date>" not in first


def test_energy_that_is_saved_is_shown_with_its_kind():
    found = rows(
        SHA, **{"table1__x__accuracy@80": 0.9, "table1__x__flops_saved@80": 0.81, "table1__x__energy_saved@80": 0.78}
    )
    found["table1.x.energy_saved@80"]["kind"] = "measured"
    assert budgets.savings_table(found)[2:] == ["| x | 80 % | 81.00% | 78.00% | measured | 90.00% |"]
    assert "our package, x (measured)" in budgets.energy_chart(found)


def test_gains_of_classes_stand_beside_the_printed():
    found = rows(None, **{f"papers__class-exits-cifar10__dog__{key}": value for key, value in
                          (("gain", 1.5), ("loss", 1.01), ("precision", 0.9), ("engine_gain", 1.2))})  # fmt: skip
    assert classes.gains_table(found)[2:] == ["| dog | 1.50 × | 1.010 × | 90.0% | 2.26 × | 1.22 × | 58.8 % |"]
    assert classes.mean_gains_table(found)[2:] == ["| the CIFAR-10 package | 1 | 1.50 × | 1.20 × |"]


def test_classes_with_dense_connections_and_without_stand_side_by_side():
    names = {"cat.kp_on.gain": 1.5, "cat.kp_on.loss": 1.02, "ant.kp_off.gain": 2, "ant.kp_off.loss": 1.1, "cat.gain": 9}
    lines = classes.connections_table({f"papers.class-exits.{name}": {"value": value} for name, value in names.items()})
    assert lines[2:] == ["| ant | 2.00 × | 1.10 × | none | none |", "| cat | none | none | 1.50 × | 1.02 × |"]
    assert classes.connections_table({}) == []


def test_images_that_the_last_exit_misses_are_counted_of_each_network():
    own = {"class-exits.missed": 30, "class-exits.cat.missed": 25, "class-exits-cifar10.missed": 9}
    lines = classes.missed_table({f"papers.{name}": {"value": value, "n": 1000} for name, value in own.items()})
    assert lines[2:] == ["| none | 9 of 1,000 | 30 of 1,000 |", "| cat |  | 25 of 1,000 |"]
    assert classes.missed_table({}) == []


# ----------------------------------------------------------------------------------------- what the engine runs for it
@pytest.mark.cosim
def test_as_more_images_leave_early_the_ends_are_the_exits_own_accuracies():
    found = runs.sample_runs()
    points = runs.early(found, 0)
    assert points[0] == (0.0, pytest.approx((found.results.label == found.labels).mean()))
    at_exit = runs.run_engine(found.package, found.images, 0)
    assert points[-1] == (1.0, pytest.approx((at_exit.label == found.labels).mean()))
    assert len(points) == len(found.images) + 1


@pytest.mark.cosim
def test_blocks_and_groups_are_those_of_the_records():
    found = runs.sample_runs()
    for number, (block, _, skipped, channels, can_skip) in enumerate(runs.blocks(found)):
        trace, gate = found.results.trace[:, number], found.package.meta["gates"][number]
        assert block == gate["block"] and skipped == pytest.approx((trace < 0).mean())
        assert channels == pytest.approx(1 - trace[trace >= 0].mean() / gate["channels"])
        assert can_skip or skipped == 0
    easy, hard = looks.groups().values()
    assert (found.skipped[easy] > 0.6).all() and (found.skipped[hard] < 0.4).all() and len(easy) and len(hard)
    right = found.results.label == found.labels
    assert right[easy].mean() > right[hard].mean()


@pytest.mark.cosim
def test_features_with_nothing_skipped_differ_from_nothing():
    maps, distance, block, _ = runs.features()
    assert (
        distance["nothing skipped"] == 0 and min(value for way, value in distance.items() if "nothing" not in way) > 0
    )
    assert {found.shape for found in maps.values()} == {(32, 16, 16)} and block == 23
    assert not np.array_equal(maps["layers skipped"], maps["channels skipped"])


def test_savings_that_a_package_has_no_setting_for_are_left_out():
    package = SimpleNamespace(meta={"average": {"flops": [9e6, 2.5e7]}}, exits=[{"flops": 1e8}])
    assert table1.settings(package) == {
        "gates": (), "75": ("--average-budget", "25.00M"), "80": ("--average-budget", "20.00M"),
        "85": ("--average-budget", "15.00M"), "90": ("--average-budget", "10.00M"),
    }  # fmt: skip


def test_energy_says_whether_it_was_measured():
    assert table1.energy({"energy": {"mean_mj": 0.5, "kind": "measured"}}) == (0.5, "measured")
    assert table1.energy({"energy": {"mean_mj": 0.5, "kind": "modelled"}}) == (0.5, "modelled")
    with pytest.raises(UserError, match="give --meter"):
        table1.energy({"energy": None})
