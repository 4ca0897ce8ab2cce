"""host/sweep.py: every budget once, also when interrupted; the table, the picture, and what is refused."""

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.standin import tiny
from host import sweep
from host.budgets.budget import parse
from host.simulation import Golden
from host.views import sweep_picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def path(tmp_path):
    return tiny.save(tmp_path / "tiny.npz")


@pytest.fixture
def runs(monkeypatch):
    """The budgets of FLOPs that were really run."""
    found, run = [], Golden.run

    def counted(self, package, images, start, *history):
        found.append(start.budget_flops)
        return run(self, package, images, start, *history)

    monkeypatch.setattr(Golden, "run", counted)
    return found


def call(capsys, path, *argv):
    options = ["--package", path, "--backend", "golden", "--images", "40", "--out", str(path)[: -len(".npz")], *argv]
    try:
        code = sweep.main([str(word) for word in options])
    except SystemExit as stop:  # the command line itself
        code = stop.code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def folder(path):
    return Path(path).with_suffix("")


def test_budgets_of_every_kind(capsys, path, runs):
    code, out, err = call(capsys, path, "--budgets", "0.1k,20us,10k,none,0.1k")
    assert code == 0 and len(runs) == 4 and err.count("\n") == 4
    assert [line.split()[0] for line in out.splitlines()[-4:]] == ["0.1k", "20us", "10k", "none"]
    assert "time (modelled)" in out and "energy (modelled)" in out and "40 images" in out
    files = sorted(item.name for item in folder(path).iterdir())
    assert len([name for name in files if name.startswith("budget-")]) == 4
    assert (folder(path) / "sweep.txt").read_text() == out and "sweep.svg" in files
    budget = json.loads((folder(path) / "budget-10k.json").read_text())
    assert budget["flops"]["max"] <= 10_000 and budget["sweep"]["images"] == 40


def test_it_goes_on_where_it_was_interrupted(capsys, path, runs, monkeypatch):
    again = sweep.gauge.energy
    calls = []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return again(*arguments)

    monkeypatch.setattr(sweep.gauge, "energy", interrupt)
    budgets = ["--budgets", "0.1k,5k,10k,none"]
    code, out, err = call(capsys, path, *budgets)
    assert code == 2 and out == ""
    kept = f"2 results kept in {folder(path)}, the same command goes on from there"
    assert err.splitlines()[-1] == f"sweep: interrupted: {kept}"
    assert len(runs) == 3 and not (folder(path) / "sweep.svg").exists()
    assert not [item for item in folder(path).iterdir() if "partial" in item.name]
    code, whole, _ = call(capsys, path, *budgets)
    assert code == 0 and len(runs) == 5  # the third again, and the fourth
    code, same, _ = call(capsys, path, *budgets)
    assert code == 0 and len(runs) == 5 and same == whole


def test_points_are_spaced_up_to_what_a_free_run_spends(capsys, path, runs):
    code, out, _ = call(capsys, path, "--points", "6")
    assert code == 0 and len(out.splitlines()) == 3 + 6
    limits = [flops for flops in runs if flops < 2**62]
    least = tiny.package().exits[0]["flops"]
    most = json.loads((folder(path) / "budget-none.json").read_text())["flops"]["max"]
    assert limits == sorted(limits) and least <= limits[0] < 1.2 * least and limits[-1] < most
    ratios = [other / one for one, other in pairwise(limits)]
    assert max(ratios) / min(ratios) < 1.1


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--budgets", "74"], "no unit"),
        (["--budgets", ","], "names none: expected some apart by commas"),
        (["--budgets", "0.05k,none"], "smallest that works"),
        (["--points", "1"], "expected a whole number from 2 to 200"),
        (["--images", "0"], "expected a whole number, 1 or more"),
        (["--entropy", "-1"], "above 0"),
        (["--package", "none"], "no package none"),
        (["--out", __file__], "is a file"),
    ],
)
def test_bad_input(capsys, path, runs, argv, expected):
    code, out, err = call(capsys, path, *argv)
    assert code == 2 and out == "" and expected in err and err.count("\n") == 1 and not runs


def test_results_of_another_sweep_are_not_mixed(capsys, path, runs):
    assert call(capsys, path, "--budgets", "0.1k")[0] == 0
    code, _, err = call(capsys, path, "--budgets", "none,0.1k", "--images", "39")
    assert code == 2 and "other images: give another --out" in err and len(runs) == 1
    (folder(path) / "budget-none.json").write_text('{"sweep": {}}')
    code, _, err = call(capsys, path, "--budgets", "0.1k,none")
    assert code == 2 and "is damaged" in err and "delete it" in err


# ------------------------------------------------------------------------------------------------------------- picture
def points(capsys, path, budgets="0.1k,10k,none"):
    assert call(capsys, path, "--budgets", budgets)[0] == 0
    return [json.loads((folder(path) / f"budget-{parse(text)}.json").read_text()) for text in budgets.split(",")]


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_has_a_point_for_every_budget(capsys, path):
    found = points(capsys, path)
    root = ElementTree.fromstring(sweep_picture.draw(found))
    dots = [element.findtext(f"{SVG}title") for element in root.iter(f"{SVG}circle")]
    assert len(dots) == 3 * 3 + 2  # accuracy, time, energy; spent and allowed for budgets of FLOPs
    assert "Energy of an image (modelled)" in texts(sweep_picture.draw(found))
    for element in root.iter(f"{SVG}circle"):
        assert (
            0 <= float(str(element.get("cx"))) <= sweep_picture.WIDTH
            and 0 <= float(str(element.get("cy"))) <= sweep_picture.HEIGHT
        )


@pytest.mark.parametrize("accuracy", [0.0, 0.05, 0.5, 1.0])
def test_any_accuracy_can_be_drawn(capsys, path, accuracy):
    found = points(capsys, path, "none")
    found[0]["accuracy"] = accuracy
    assert "Accuracy" in texts(sweep_picture.draw(found))


def test_measured_figures_are_named_and_have_bars(capsys, path):
    found = points(capsys, path)
    for point in found:
        point["energy"] = {"kind": "measured", "mean_mj": 0.8, "interval95_mj": [0.78, 0.82]}
        point["time_measured_ms"] = {"mean": 1.0, "min": 1.0, "max": 1.0, "kind": "measured"}
    found_texts = texts(sweep_picture.draw(found))
    assert "Energy of an image (measured)" in found_texts and "Time of an image (measured)" in found_texts
    assert found_texts.count("over the FLOPs spent; bars: 95% interval") == 2
    assert "0.8 ± 0.02 mJ" in sweep.table(found) and "time (measured)" in sweep.table(found)
    found[0]["energy"]["kind"] = "replayed"
    assert "energy (measured and replayed)" in sweep.table(found)


def test_without_energy_or_budgets_of_flops(capsys, path):
    found = points(capsys, path, "none")
    found[0]["energy"] = None
    found_texts = texts(sweep_picture.draw(found))
    assert "neither measured nor modelled for this board" in found_texts
    assert "No budget of FLOPs in this sweep." in found_texts and "energy" not in sweep.table(found)
