"""The methods that are compared, from methods.toml: each is a recipe behind a backbone's.

method = methods()["skipnet"]
method.recipe(), method.target          # a recipe's plain values; ("flops", 0.6) or None
backbone(method.of)                     # the recipe of the weights that it begins with
"""

import copy
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.bases import merged, nested

FILE = Path(__file__).with_suffix(".toml")
USUAL = {"of": "resnet", "goes": ("opening", "skipping"), "exported": True, "twin": False}
STEPS = ("steps",)  # of a backbone, where it learns for fewer or more steps than the others
TARGETED = ("signed_cost", "budget_cost", "cost")  # terms whose target is to be reached


@dataclass(frozen=True)
class Method:
    """One method: the backbone it begins with, phases, changes of the recipe, and what a reader calls it."""

    name: str
    text: str
    of: str
    goes: tuple
    exported: bool  # whether the engine has all that it needs
    twin: bool  # whether it is held against a static twin that is trained for as many steps
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
    """Name → Method, in the order of the file; NAME-60 is the method NAME that is to save 60 %."""
    found = {}
    for name, values in _file()["methods"].items():
        more = values.get("saves", [])
        found[name] = _method(name, values)
        found |= {f"{name}-{saved}": _method(f"{name}-{saved}", _saving(values, saved)) for saved in more}
    return found


def _saving(values, saved):
    """A method's values with another target: percent of the FLOPs that are to be saved."""
    changed = copy.deepcopy(values) | {"text": f"{values['text']}; {saved} % saved"}
    last = values.get("goes", USUAL["goes"])[-1]
    term = next(term for term in TARGETED if term in _file()["phases"][last]["terms"])
    place = changed
    for key in ("phases", last, "terms", term):
        place = place.setdefault(key, {})
    place["target"] = (100 - saved) / 100
    return changed


def _method(name, values):
    own = {key: values.get(key, usual) for key, usual in USUAL.items()}
    changes = {key: value for key, value in values.items() if key not in (*USUAL, "text", "saves")}
    return Method(name, values["text"], own["of"], tuple(own["goes"]), own["exported"], own["twin"], changes)


def backbone(of):
    """The recipe's plain values of a backbone, which methods begin with."""
    changes = {key: value for key, value in _file()["backbones"][of].items() if key in STEPS}
    return _recipe(f"papers-{of}", of, ("backbone",), {"phases": {"backbone": changes}} if changes else {})


def _recipe(name, of, goes, changes):
    phases = [{"name": phase, **_file()["phases"][phase]} for phase in goes]
    network = {key: value for key, value in _file()["backbones"][of].items() if key not in STEPS}
    values = {"name": name, **_file()["common"], **network, "phases": phases}
    return merged(values, nested(changes))
