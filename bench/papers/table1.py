"""JSTSP Table I: FLOPs that are saved against energy that is, and accuracy, of the committed packages.

    python -m bench table1                                            # the default package, embedded sample
    python -m bench table1 --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench table1 --meter serial:/dev/ttyUSB0 --backend remote:xilinx@192.168.2.99

Each package runs through host/run.py with every gate open, which is what energy is saved of; by its gates alone; and
under budgets on the average that are to save S % of its whole network's FLOPs, where it has such a setting: where gates
and exits save more by themselves, the smaller S are left out. With a meter energy is measured above idle on the board;
until there is one it is modelled (the papers' Eq. 6), and each row says which.
Rows table1.PACKAGE.accuracy@S, .flops_saved@S, .energy_saved@S, .energy@S, S also `gates`; .whole_energy,
.whole_accuracy.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from bench.gates.pool import ask
from bench.packages import PACKAGES, fingerprint
from export.compile.static import opened
from hls.errors import UserError
from hls.package import read, write

SAVED = (40, 50, 60, 70, 75, 80, 85, 90)  # % of the FLOPs: those of the paper's table, and more
DEFAULT = "fashion-mnist"


def run(rows, folders, options):
    """Add the rows of the packages whose data are given, or of the default one."""
    packages = {path.stem: read(path) for path in sorted(PACKAGES.glob("*.npz"))}
    given = [name for name, package in packages.items() if folders.get(package.dataset)]
    for name in given or [DEFAULT]:
        measure(rows, name, packages[name], _options(packages[name], folders, options))


def _options(package, folders, options):
    """What every run of a package has in common."""
    folder = folders.get(package.dataset)
    pairs = {"--data": folder, "--images": options.images, "--threads": options.threads}
    pairs |= {"--meter": options.meter, "--backend": options.backend}
    return [str(item) for pair in pairs.items() if pair[1] for item in pair]


def measure(rows, name, package, given):
    """Add one package's rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "opened.npz"
        write(path, replace(package, program=opened(package.program)))
        whole = ask(["--package", str(path), *given])
    n, sha256 = whole["images"], fingerprint(name)
    joule, kind = energy(whole)

    def add(key, value, unit, sort="simulated"):
        rows.add(f"table1.{name}.{key}", value, unit, sort, n, sha256)

    add("whole_energy", joule, "mJ", kind)
    add("whole_accuracy", whole["accuracy"], "share")
    for at, more in settings(package).items():
        found = ask(["--package", name, *given], *more)
        spent, kind = energy(found)
        add(f"accuracy@{at}", found["accuracy"], "share")
        add(f"flops_saved@{at}", 1 - found["flops"]["mean"] / package.exits[-1]["flops"], "share")
        add(f"energy@{at}", spent, "mJ", kind)
        add(f"energy_saved@{at}", 1 - spent / joule, "share", kind)


def settings(package):
    """What is to be saved → options of host/run.py: the gates alone, and the averages that the package can keep."""
    known = package.meta["average"]["flops"]
    found: dict[str, tuple[str, ...]] = {"gates": ()}
    for saved in SAVED:
        budget = (1 - saved / 100) * package.exits[-1]["flops"]
        if known[0] <= budget <= known[-1]:
            found[str(saved)] = "--average-budget", f"{budget / 1e6:.2f}M"
    return found


def energy(summary):
    """(mJ an image, measured or modelled) of a run. UserError for a board whose energy nobody knows."""
    found = summary["energy"]
    if found is None:
        raise UserError("this board's energy is not modelled: give --meter, or a board with [energy] coefficients")
    return found["mean_mj"], "measured" if found["kind"] == "measured" else "modelled"
