"""Rows of made-up packages, in the place of those that are committed."""

from bench.front.page.points import WHOLE
from bench.packages import PACKAGES, fingerprint

VALUES = {
    "accuracy": 0.8125,
    "flops": 10_240_000.0,
    "flops_max": 12_299_000,
    "cycles": 14_286.0,
    "energy": 0.0984,
    "layers": 1.5,
    "exits": 2,
}


def rows_of():
    """Name → row, for every committed package: four budgets, all alike."""
    rows = {}
    for path in PACKAGES.glob("*.npz"):
        name = path.stem

        def add(what, value, name=name, **more):
            key, told = f"{name}.{what}", {"kind": "simulated", "command": "python -m bench packages"}
            row = {"name": key, "value": value, "n": 100, "commit": "c0ffee", "package": fingerprint(name)}
            rows[key] = row | told | more

        for what, value in zip(WHOLE, (100_000_000, 140_000, 7)):
            add(what, value)
        for at, budget in (("74.0M", 74_000_000), ("12.3M", 12_300_000), ("none", None), ("9.0M", 9_000_000)):
            for what, value in VALUES.items():
                small = what == "flops_max" and budget == 9_000_000
                add(f"{what}@{at}", 8_000_000 if small else value, note="a board: guessed",
                    detail={"exit 0": 25, "end": 75})  # fmt: skip
            if budget:
                add(f"budget@{at}", budget)
    return rows
