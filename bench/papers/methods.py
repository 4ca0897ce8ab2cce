"""The methods that are compared, from methods.toml: each is a recipe behind a backbone's.

method = methods()["skipnet"]
method.recipe(), method.target          # a recipe's plain values; ("flops", 0.6) or None
backbone(method.of)                     # the recipe of the weights that it begins with
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.bases import merged, nested

FILE = Path(__file__).with_suffix(".toml")
USUAL = {"of": "resnet", "goes": ("opening", "skipping"), "exported": True}
STEPS = ("steps",)  # of a backbone, where it learns for fewer or more steps than the others
TARGETED = ("signed_cost", "budget_cost")  # terms whose target is to be reached


@dataclass(frozen=True)
class Method:
    """One method: the backbone it begins with, phases, changes of the recipe, and what a reader calls it."""

    name: str
    text: str
    of: str
    goes: tuple
    exported: bool  # whether the engine has all that it needs
    changes: dict

    def recipe(self):
        """Its recipe's plain values."""
        return _recipe(f"papers-{self.name}", self.of, self.goes, self.changes)

    @property
    def target(self):
        """(measure, share) that its last phase is pulled to, or None."""
        terms = self.recipe()["phases"][-1]["terms"]
        found = [terms[name] for name in TARGETED if terms.get(name, {}).get("weight")]
        return (found[0].get("measure", "flops"), found[0]["target"]) if found else None

    @property
    def steps(self):
        """Of training, behind the backbone's."""
        return sum(phase["steps"] for phase in self.recipe()["phases"])


@cache
def _file():
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def methods():
    """Name → Method, in the order of the file."""
    return {name: _method(name, dict(values)) for name, values in _file()["methods"].items()}


def _method(name, values):
    own = {key: values.pop(key, usual) for key, usual in USUAL.items()}
    return Method(name, values.pop("text"), own["of"], tuple(own["goes"]), own["exported"], values)


def backbone(of):
    """The recipe's plain values of a backbone, which methods begin with."""
    changes = {key: value for key, value in _file()["backbones"][of].items() if key in STEPS}
    return _recipe(f"papers-{of}", of, ("backbone",), {"phases": {"backbone": changes}} if changes else {})


def _recipe(name, of, goes, changes):
    phases = [{"name": phase, **_file()["phases"][phase]} for phase in goes]
    network = {key: value for key, value in _file()["backbones"][of].items() if key not in STEPS}
    values = {"name": name, **_file()["common"], **network, "phases": phases}
    return merged(values, nested(changes))
