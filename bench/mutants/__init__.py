"""Whether the tests would notice a fault: the code is changed in one place, and a test must fail.

    pip install -r requirements/mutants.txt
    python -m bench mutants --json rows.jsonl

mutmut makes the mutants (operators, numbers, arguments, strings, conditions of every function without a decorator) and
finds out once which tests call which function; those are run with each mutant in a forked process. Of each of FOLDERS
the same SAMPLE mutants are taken. Rows: mutants.FOLDER.killed, the share that a test notices of those that are not
known to change nothing (equivalent.toml).

Copies of the tree stand in build/mutants/. What was noticed stays so until its function changes, so a run that was
interrupted goes on where it stopped; what was not is tried again.
"""

from bench.mutants import sample, tool
from bench.mutants.folders import FOLDERS
from hls.errors import UserError

SAMPLE = 75  # mutants of each folder
TARGET = 0.9


def run(rows, folders, options):
    """Add a row a folder; each survivor is printed with its change."""
    tool.check()
    known = sample.equivalent()
    for folder in FOLDERS:
        work = tool.Work(folder)
        chosen = sample.drawn(work.names(), SAMPLE)
        judged = {name: work.change(name) for name in chosen if name in known}
        stale = [name for name, change in judged.items() if change != known[name]["change"]]
        if stale:
            raise UserError(f"equivalent.toml: {stale[0]} is now {judged[stale[0]]!r}: look at it again")
        tried = [name for name in chosen if name not in known]
        outcomes = work.outcomes(tried)
        survivors = [name for name in tried if not outcomes[name]]
        for name in survivors:
            print(f"survived: {name}: {work.change(name)}")
        share = 1 - len(survivors) / len(tried)
        note = f"{len(judged)} of {len(chosen)} change nothing" if judged else None
        rows.add(f"mutants.{folder.name}.killed", share, "share", "measured", len(tried), target=TARGET, note=note)
