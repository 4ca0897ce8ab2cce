"""What open tools make of the engine's parts, beside what is modelled of them: rows of what `make rtl` left in build/.

    python -m bitstreams.open_hls.rtl --part decisions       # minutes, as for --part layers
    python -m bench rtl

Of a part whose sources have changed since, or that was not compiled, there is no row.
"""

import json

from bitstreams import sources
from bitstreams.open_hls import rtl, small


def run(rows, folders, options):
    """Add the rows of every part whose result is of these sources."""
    digest = sources.digest()
    for part in small.PARTS:
        path = rtl.place(part) / rtl.RESULT
        result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if result.get("sources") == digest:
            add(rows, result)
        else:
            why = "is of other sources" if result else "is not there"
            print(f"{part}: {path.relative_to(path.parents[2])} {why}: python -m bitstreams.open_hls.rtl --part {part}")


def add(rows, result):
    """Rows of one part: rtl.PART.WHAT by an open tool, and the same name with .modelled."""
    name, images = f"rtl.{result['part']}", result["images"]
    rows.add(f"{name}.passed", images if result["passed"] else 0, "images", "simulated", n=images,
             note=", ".join(result["opcodes"]), detail=result["sizes"])  # fmt: skip
    if result["passed"]:
        rows.add(f"{name}.cycles", result["simulated_cycles"], "cycles", "simulated", n=images)
        rows.add(f"{name}.cycles.modelled", sum(result["modelled_cycles"]), "cycles", "modelled", n=images)
    for resource, count in result.get("used", {}).items():
        rows.add(f"{name}.{resource}", count, "", "estimated", n=1)
        if resource in result["modelled"]:
            rows.add(f"{name}.{resource}.modelled", result["modelled"][resource], "", "modelled", n=1)
