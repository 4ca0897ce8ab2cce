"""The papers' methods side by side: recipes that hold, runs that go on to the same figures, tables kept true."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench import __main__ as entry
from bench.papers import class_exits, command, measure, methods, runs, tables, thresholds
from bench.rows import ROOT, Rows
from data.arguments import Folders
from hls.errors import UserError
from tests.training import toys
from training import terms
from training.loop import Trainer
from training.recipe import from_dict

METHODS = methods.methods()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_recipe_on_its_backbone(name):
    method = METHODS[name]
    plan, start = from_dict(method.recipe()), from_dict(methods.backbone(method.of))
    model = plan.network.build(10)
    model.backbone.load_state_dict(start.network.build(10).backbone.state_dict())
    gated = bool(model.gates())
    assert gated == (method.goes not in (("plain",), ("exits",))) and plan.name == f"papers-{name}"
    assert all(terms.build(phase.terms) for phase in plan.phases)
    assert (method.target is not None) == (gated and not name.startswith("acs-rule"))


def test_methods_of_one_backbone_train_for_as_many_steps():
    for of in ("resnet", "densenet"):
        assert len({method.steps for method in METHODS.values() if method.of == of}) == 1


def test_a_method_that_saves_more_differs_in_its_target_alone():
    usual, more = METHODS["skipnet"].recipe(), METHODS["skipnet-80"].recipe()
    assert (METHODS["skipnet"].target, METHODS["skipnet-80"].target) == (("flops", 0.6), ("flops", 0.2))
    assert more["phases"][-1]["terms"]["signed_cost"].pop("target") == 0.2
    assert usual["phases"][-1]["terms"]["signed_cost"].pop("target") == 0.6
    assert usual.pop("name") == "papers-skipnet" and more.pop("name") == "papers-skipnet-80" and usual == more


def test_every_method_says_what_differs():
    found = [{key: value for key, value in method.recipe().items() if key != "name"} for method in METHODS.values()]
    assert all(found.count(values) == 1 for values in found), "two methods are one recipe"


# --------------------------------------------------------------------------------------------------------- runs
def short(steps=6):
    """A recipe of gates and an exit on small noise."""
    network = {"backbone": {"kind": "resnet", "units": [1, 1]}, "layer_gates": {"kind": "recurrent"}}
    network |= {"exits": {"after": [0]}}
    losses = {"classification": {}, "signed_cost": {"target": 0.5, "weight": 0.01}}
    values = {"name": "papers-toy", "dataset": "cifar10", "batch": 8, "crop_pad": 0, "network": network}
    return values | {"phases": [toys.phase("skipping", steps, terms=losses)], "checkpoint_every": 1}


@pytest.fixture
def splits():
    return [toys.noise(n, seed=n) for n in (40, 16, 17)]


class Stopped(BaseException):
    """What ends a run in its midst."""


def test_a_run_goes_on_where_it_was_stopped(splits, tmp_path, monkeypatch):
    values = short()
    whole, _ = runs.trained(values, splits, tmp_path / "whole")
    step, taken = Trainer._train_step, []

    def stopping(self, *arguments):
        if len(taken) == 3:
            raise Stopped
        taken.append(self.step)
        return step(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Trainer, "_train_step", stopping)
        runs.trained(values, splits, tmp_path / "parts")
    parts, _ = runs.trained(values, splits, tmp_path / "parts")
    assert all((one == other).all() for one, other in zip(whole.state_dict().values(), parts.state_dict().values()))
    monkeypatch.setattr(Trainer, "_train_step", stopping)
    runs.trained(values, splits, tmp_path / "parts")  # is finished: no step is taken


def test_a_run_begins_with_the_weights_given(splits, tmp_path):
    start = from_dict(short()).network.build(10, 3, (16, 16)).backbone.state_dict()
    values = short(1)
    values["phases"][0]["train"] = ["layer_gates"]
    model, _ = runs.trained(values, splits, tmp_path, start)
    found = model.backbone.state_dict()
    assert all((found[name] == value).all() for name, value in start.items() if name.endswith("weight"))


def test_what_differs_has_another_folder():
    first, second = short(), short(7)
    assert runs.folder("out", first) == runs.folder("out", short()) != runs.folder("out", second)
    assert runs.folder("out", first) != runs.folder("out", first, "more")


@pytest.fixture
def bench(splits, tmp_path, monkeypatch):
    """The command on two toys: a network with gates and the plain one."""
    toy = methods.Method("toy", "a toy", "toy", (), True, True, {})
    plain = methods.Method("plain-toy", "plain", "toy", (), False, False, {})
    recipes = {"toy": short(), "plain-toy": short() | {"name": "papers-plain-toy"}}
    recipes["plain-toy"]["phases"][0].update(gated=False)
    monkeypatch.setattr(methods.Method, "recipe", lambda self: recipes[self.name])
    monkeypatch.setattr(command, "methods", lambda: {"toy": toy, "plain-toy": plain})
    monkeypatch.setattr(command, "backbone", lambda of: short(2) | {"name": "papers-start"})
    monkeypatch.setattr(command.Bench, "splits", lambda self, values: splits)
    monkeypatch.setattr(measure, "engine", lambda *arguments: None)
    options = SimpleNamespace(method=["toy"], out=tmp_path, images=17)

    def run():
        rows = Rows("papers", "command")
        command.run(rows, Folders([]), options)
        return {row["name"]: row["value"] for row in rows.rows}

    return SimpleNamespace(run=run, options=options)


def test_the_command_gives_the_same_rows_again(bench, tmp_path):
    found = bench.run()
    keys = {name.removeprefix("papers.toy.") for name in found}
    assert {"dynamic.accuracy", "minus_plain", "share_minus_target", "held_within", "permuted.accuracy",
            "static_majority_bn.flops", "gate_share", "twin_retrained.flops", "dynamic_minus_twin",
            "exit0.accuracy"} <= keys  # fmt: skip
    assert found == bench.run()  # what was kept
    bench.options.out = tmp_path / "anew"
    assert found == bench.run()  # trained again
    share = found["papers.toy.share"]
    assert found["papers.toy.share_minus_target"] == pytest.approx(100 * (share - 0.5))


def test_rows_name_no_folder_of_this_machine(tmp_path):
    given = [
        "papers",
        "--data",
        f"cifar10={tmp_path}",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "x"),
        "--json",
        str(tmp_path / "r"),
    ]
    given_as = {"data": [f"cifar10={tmp_path}", str(tmp_path)], "json": str(tmp_path / "r")}
    options = SimpleNamespace(**given_as, out=tmp_path / "x", files=None)
    shown = entry._shown(given, options)
    assert shown == ["papers", "--data", "cifar10=DIR", "--data", "DIR", "--out", "DIR", "--json", "r"]


def test_what_was_measured_of_a_package_is_not_measured_again(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(thresholds, "_measured", lambda name, package, bench: asked.append(name) or [{"name": name}])
    bench = SimpleNamespace(out=tmp_path / "new", asked=5)
    first = thresholds.run(bench)
    assert first == thresholds.run(bench) == [{"name": "cifar10"}, {"name": "fashion-mnist"}] and len(asked) == 2


def test_an_unknown_method_is_refused(bench):
    bench.options.method = ["magic"]
    with pytest.raises(
        UserError, match="--method magic: expected toy, plain-toy, class-exits, class-exits-cifar10, entropy-search"
    ):
        bench.run()


def test_shares_are_those_of_the_last_phase(tmp_path):
    lines = ['{"phase": 0, "share": 1.0}', '{"phase": 1, "share": 0.8}', '{"phase": 1, "validation": {}}',
             '{"phase": 1, "share": 0.6}']  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert runs.shares(tmp_path) == [0.8, 0.6]


# -------------------------------------------------------------------------------------------------- thresholds
def test_accuracy_at_a_mean_lies_between_its_neighbours():
    curve = [(10.0, 0.5), (20.0, 0.7), (40.0, 0.8)]
    assert thresholds.at_mean(curve, 15.0) == pytest.approx(0.6)
    assert thresholds.at_mean(curve, 30.0) == pytest.approx(0.75)
    assert (thresholds.at_mean(curve, 5.0), thresholds.at_mean(curve, 90.0)) == (0.5, 0.8)


def test_what_was_spent_is_held_against_what_was_asked_for(monkeypatch):
    """A package whose thresholds spend 3 % more than asked for, and win a point over hard budgets."""
    package = SimpleNamespace(meta={"average": {"flops": [10e6, 30e6]}})
    monkeypatch.setattr(thresholds, "choose", lambda package, budget: SimpleNamespace(package=float(budget[:-1])))
    monkeypatch.setattr(
        thresholds, "outcome", lambda asked, images, labels, rule: (0.01 * asked + 0.01, 1.03e6 * asked)
    )
    monkeypatch.setattr(thresholds, "hard_curve", lambda *given: [(0.0, 0.0), (100e6, 1 / 1.03)])
    monkeypatch.setattr(thresholds, "fingerprint", lambda name: "abc")
    found = {one["name"]: one["value"] for one in thresholds.figures("a", package, np.zeros(4), np.zeros(4))}
    assert found["a.worst_spent_off"] == pytest.approx(3) and found["a.spent_off@12.00M"] == pytest.approx(3)
    assert found["a.least_over_hard"] == pytest.approx(1, abs=0.01)
    assert found["a.accuracy@20.00M"] == pytest.approx(0.21)


# ------------------------------------------------------------------------------------------------- class exits
def test_gain_and_loss_in_cycles_by_hand(monkeypatch):
    """Four images, two of class 1: without its exit 100 cycles each; with it 20 for who stops, 110 for who does not."""
    exits = [{"name": "class exit", "class": 1}, {"name": "end"}]
    package = SimpleNamespace(exits=exits, start=lambda: None, program=0, weights=0, tables=0)
    test = {"gain": 3.0, "loss": 1.1, "measured_gain": 2.0, "precision": None, "accuracy": 0.5, "accuracy_before": 0.6}
    meta = {"classes": ["a", "b"], "class_exits": [{"name": "b", "class": 1, "chosen": {"test": test}}]}
    whole = SimpleNamespace(meta=meta, with_class_exit=lambda name: package)
    plain = SimpleNamespace(cycles=np.full(4, 100.0), label=np.array([0, 1, 1, 1]), exit=np.zeros(4))
    taken, answers = np.array([1, 0, 0, 1]), np.array([0, 1, 1, 0])
    early = SimpleNamespace(cycles=np.array([110.0, 20, 20, 110]), exit=taken, label=answers)
    monkeypatch.setattr(class_exits, "records", lambda one, images: plain if one is whole else early)
    records = {"cosim": np.zeros((4, 2)), "golden": np.array([[0, 0], [0, 0], [1, 0], [0, 0]])}
    for name, found in records.items():
        monkeypatch.setattr(getattr(class_exits, name), "run", lambda *arrays, found=found: found)
    monkeypatch.setattr(class_exits, "agreed", lambda found: found)
    labels = np.array([0, 1, 0, 1])
    found = {one["name"]: one["value"] for one in class_exits.of_package(whole, np.zeros((4, 1)), labels)}
    assert found["b.engine_gain"] == pytest.approx(100 / 65) and found["b.engine_loss"] == pytest.approx(1.1)
    assert found["b.bit_exact"] == 3 and found["classes"] == 1 and found["accuracy"] == 0.75
    assert found["b.accuracy_points"] == pytest.approx(-10) and "b.precision" not in found
    assert found["missed"] == 1 and found["b.missed"] == 1  # the third image stops early, the fourth is now wrong


def test_the_better_connection_of_a_class_is_taken_and_both_have_rows():
    def entry(name, gain, loss):
        return {"name": name, "validation": {"gain": gain, "loss": loss}, "test": {"gain": gain / 2, "loss": loss}}

    found = {"kp_off": {0: entry("a", 2.0, 1.0)}, "kp_on": {0: entry("a", 3.0, 2.0), 1: entry("b", 1.5, 1.0)}}
    assert class_exits._better(class_exits._of_class(found, 0)) is found["kp_off"][0]
    assert class_exits._of_class(found, 1) == [found["kp_on"][1]]
    rows = {one["name"]: one["value"] for one in class_exits._by_connections(found, 7)}
    assert rows["a.kp_off.gain"] == 1 and rows["a.kp_on.gain"] == 1.5 and rows["b.kp_on.loss"] == 1
    assert "b.kp_off.gain" not in rows


def test_a_command_that_fails_ends_the_benchmark():
    with pytest.raises(UserError, match="host … ended with 2"):
        class_exits._done(lambda arguments: 2, ["host"])


def test_what_is_shown_fits_a_document():
    text = "short  kept   as it is\n" + "class exit         " + "word " * 25 + "\n"
    first, *others = class_exits.narrow(text).splitlines()
    assert first == "short  kept   as it is" and all(len(line) < 99 for line in others)
    assert others[0].startswith("class exit         word") and others[1].startswith(" " * 19 + "word")
    assert " ".join(others).split() == ["class", "exit", *["word"] * 25]


# ------------------------------------------------------------------------------------------------------ tables
@pytest.mark.parametrize("group", ["gates", "costs", "exits"])
def test_definitions_are_where_the_table_says(group):
    for line in tables.equations_table(group, {})[2:]:
        place = line.split(" | ")[2].strip("`")
        path, _, number = place.partition(":")
        path = ROOT / path if (ROOT / path).exists() else ROOT / "training" / path
        text = path.read_text(encoding="utf-8").splitlines()[int(number) - 1].strip()
        assert text.startswith(("def ", "class "))


def test_rows_of_the_tables_are_methods():
    texts = tables.tomllib.loads(tables.EQUATIONS.read_text(encoding="utf-8"))
    named = {item["row"] for group in texts.values() for item in group if "row" in item}
    assert named <= {*METHODS, *command.OTHERS} and set(tables.OTHERS) == set(command.OTHERS)


def test_a_definition_that_is_gone_is_an_error():
    with pytest.raises(UserError, match="defines no gone"):
        tables.line_of("training/exits.py:gone")


def test_a_line_moves_with_its_definition(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    (tmp_path / "one.py").write_text("import x\n\n\nclass A:\n    @x.y\n    def b(self):\n        pass\n")
    assert (tables.line_of("one.py:A"), tables.line_of("one.py:A.b")) == ("one.py:4", "one.py:6")


def test_the_table_of_runs_tells_what_was_not_run():
    values = {"dynamic.accuracy": 0.5, "dynamic.flops": 8e6, "minus_plain": -1.25, "share_minus_target": 0.4}
    rows = {f"papers.skipnet.{key}": {"value": value} for key, value in values.items()}
    rows["papers.skipnet.bit_exact"] = {"value": 23, "n": 24}
    lines = tables.runs_table(rows)
    assert "| `skipnet` | 50.0%, 8M | -1.2 | +0.4 |  |  |  |  |  | 23/24 |" in lines
    missing = " ".join(lines[lines.index("") + 1 :])
    assert missing.startswith("Without rows yet: ") and "`iadi`" in missing and "`class-exits`" in missing
    assert "`skipnet`" not in missing and all(len(line) < 100 for line in lines)


def test_ways_stand_beside_their_twins():
    values = {"dynamic.accuracy": 0.9, "dynamic.flops": 4e6, "twin_retrained.accuracy": 0.88,
              "twin_retrained.flops": 4e6, "dynamic_minus_twin": 2.0, "dynamic_twin_p_value": 1e-5,
              "permuted.accuracy": 0.7, "static_majority_bn.accuracy": 0.8, "dead_layer_gates": 0.25}  # fmt: skip
    rows = {f"papers.way-need.{key}": {"value": value} for key, value in values.items()}
    lines = tables.twins_table(rows | {"papers.radi.dynamic.accuracy": {"value": 0.5}})
    assert lines[2] == "| `way-need` | 90.0%, 4M | 88.0%, 4M | +2.0 | 1e-05 | 80.0% | 70.0% | 25% |"
    assert lines[4] == f"- `way-need`: {METHODS['way-need'].text}." and len(lines) == 5
    assert "No rows yet" in tables.twins_table({})[0]
