"""Whether the tests would notice a fault: the code is changed in one place, and a test must fail.

    pip install -r requirements/mutants.txt
    python -m bench mutants --json rows.jsonl
    python -m bench mutants --folder host --folder hls

mutmut makes the mutants: operators, numbers, arguments, strings, conditions of every function without a decorator. The
tests are run once, to know which of them call which function; those are run with each mutant in a forked process, then
those beside them. Of each of FOLDERS the same SAMPLE mutants are taken. Rows: mutants.FOLDER.killed, the share that a
test notices of those that are not known to change nothing (equivalent.toml).

Copies of the tree stand in build/mutants/. What was noticed stays so until its function changes, so a run that was
interrupted goes on where it stopped; what was not is tried again.
"""

from bench.mutants import sample, tool
from bench.mutants.folders import FOLDERS
from hls.errors import UserError

SAMPLE = 75  # mutants of each folder
TARGET = 0.9


def folders_of(names):
    """Those of FOLDERS that are named, all where none is. UserError for an unknown name."""
    known = {folder.name: folder for folder in FOLDERS}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UserError(f"no folder {unknown[0]} is mutated: expected --folder {', '.join(known)}")
    return [folder for name, folder in known.items() if not names or name in names]


def run(rows, folders, options):
    """Add a row a folder; each survivor is printed with its change."""
    tool.check()
    known = sample.equivalent()
    for folder in folders_of(options.folder):
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
