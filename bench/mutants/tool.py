"""mutmut at work on a copy of the tree: names and changes of a folder's mutants, and whether a test notices them.

    work = Work(folder, threads)
    work.names()                    # of all its mutants
    work.outcomes(names)            # name → whether a test noticed; kept in outcomes.jsonl

mutmut writes the mutants, and finds out which tests call which function; bench/mutants/judge.py runs them.
"""

import importlib.util
import json
import shutil
import sys

from bench.mutants import order
from bench.rows import ROOT
from hls.command import tools
from hls.errors import UserError

PLACE = ROOT / "build" / "mutants"
ROOMS = ("hls", "data", "training", "export", "host", "bitstreams", "bench", "tests", "packages", "docs", "build")
NOBODY = "nobody.*"  # no mutant's name: mutmut makes the mutants, asks the tests what they call, and ends
SETTINGS = """
[tool.mutmut]
source_paths = ["{source}"]
only_mutate = {mutated}
also_copy = {rooms}
pytest_add_cli_args = {options}
pytest_add_cli_args_test_selection = {tests}
"""


def check():
    """UserError where mutmut is not installed."""
    if importlib.util.find_spec("mutmut") is None:
        raise UserError("mutmut is not installed: pip install -r requirements/mutants.txt")


class Work:
    """One folder's mutants, in build/mutants/FOLDER."""

    def __init__(self, folder, threads):
        self.folder, self.place = folder, PLACE / folder.name
        self.options = ["--cosim", "-p", "no:cacheprovider", *(f"--ignore={path}" for path in folder.without)]
        self._refresh()
        said = self._mutmut("run", "--max-children", str(threads), NOBODY, may_fail=True)
        try:
            known = json.loads((self.place / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
        except OSError:
            raise UserError(f"the tests do not pass in {self.place}: {' '.join(said.split())[-300:]}") from None
        self._tests, self._seconds = known["tests_by_mangled_function_name"], known["duration_by_test"]
        self._functions = self._read_functions()

    def names(self):
        """Of all mutants."""
        return list(self._functions)

    def change(self, name):
        """The lines that a mutant takes out and puts in, as `- old + new`."""
        shown = self._mutmut("show", name).splitlines()
        lines = [line for line in shown if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)

    def outcomes(self, names):
        """Name → whether a test noticed. What was noticed before, with the function as it is, is not run again."""
        kept = {name for name, function in self._noticed() if self._functions.get(name) == function}
        left = {name: self._functions[name] for name in names if name not in kept}
        if left:
            tests = {name: self._ordered(name) for name in left}
            orders = {"mutants": left, "tests": tests, "seconds": self._seconds, "options": self.options}
            command = [sys.executable, "-m", "bench.mutants.judge", str(self._file)]
            self._checked(command, self.place / "mutants", json.dumps(orders))
        kept = {name for name, _ in self._noticed()}
        return {name: name in kept for name in names}

    def _ordered(self, name):
        function = name.rpartition("__mutmut_")[0]
        return order.ordered(function.rpartition(".")[0], self._tests.get(function, []), self._seconds)

    @property
    def _file(self):
        return self.place / "outcomes.jsonl"

    def _noticed(self):
        """(name, digest of its function) of the mutants that a test noticed."""
        if not self._file.exists():
            return []
        found = map(json.loads, self._file.read_text(encoding="utf-8").splitlines())
        return [(outcome["name"], outcome["function"]) for outcome in found if outcome["killed"]]

    def _read_functions(self):
        """Name of each mutant → digest of its function."""
        found = {}
        for path in sorted((self.place / "mutants").rglob("*.meta")):
            meta = json.loads(path.read_text(encoding="utf-8"))
            for name in meta["exit_code_by_key"]:
                function = name.rpartition("__mutmut_")[0].rpartition(".")[2]
                found[name] = meta["hash_by_function_name"].get(function, "")
        return found

    def _refresh(self):
        """Bring what is tracked into the copy, where it is another, and the engines that were built."""
        listed = tools.run(["git", "-C", str(ROOT), "ls-files"]).stdout.splitlines()
        built = [f"build/{path.name}" for path in (ROOT / "build").glob("cosim-*")]
        for name in [name for name in [*listed, *built] if (ROOT / name).is_file() and name != "pyproject.toml"]:
            source, target = ROOT / name, self.place / name
            if not target.exists() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + self._settings()
        (self.place / "pyproject.toml").write_text(settings, encoding="utf-8")

    def _settings(self):
        folder = self.folder
        lists = {"mutated": folder.mutated, "rooms": ROOMS, "tests": folder.tests, "options": self.options}
        source = folder.mutated[0].partition("/")[0]
        return SETTINGS.format(source=source, **{name: json.dumps(list(items)) for name, items in lists.items()})

    def _mutmut(self, *arguments, may_fail=False):
        return self._checked([sys.executable, "-m", "mutmut", *arguments], self.place, may_fail=may_fail)

    def _checked(self, command, place, given=None, may_fail=False):
        """What `command` prints. UserError with its last words where it fails."""
        done = tools.run(command, cwd=place, given=given)
        if done.returncode and not may_fail:
            last = " ".join((done.stdout + done.stderr).split())[-300:]
            raise UserError(f"{' '.join(command[1:4])} in {place} ended with {done.returncode}: {last}")
        return done.stdout + done.stderr
