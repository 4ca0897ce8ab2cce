"""mutmut at work on a copy of the tree: names and changes of a folder's mutants, and whether a test notices them.

    work = Work(folder)
    work.names()                    # of all its mutants
    work.outcomes(names)            # name → whether a test noticed; kept in outcomes.jsonl

bench/mutants/make.py has mutmut write the mutants, calls.py finds out which tests call which function, and judge.py
runs those with each mutant.
"""

import importlib.util
import json
import shutil
import sys

from bench.mutants import calls, order
from bench.rows import ROOT
from hls.command import tools
from hls.errors import UserError

PLACE = ROOT / "build" / "mutants"
SETTINGS = """
[tool.mutmut]
source_paths = ["{source}"]
only_mutate = {mutated}
also_copy = {others}
"""


def check():
    """UserError where mutmut is not installed."""
    if importlib.util.find_spec("mutmut") is None:
        raise UserError("mutmut is not installed: pip install -r requirements/mutants.txt")


class Work:
    """One folder's mutants, in build/mutants/FOLDER."""

    def __init__(self, folder):
        self.folder, self.place = folder, PLACE / folder.name
        self.source = folder.mutated[0].partition("/")[0]
        self.options = ["--cosim", "-p", "no:cacheprovider", *(f"--ignore={path}" for path in folder.without)]
        self._refresh()
        self._python(self.place, "bench.mutants.make")
        self._functions = self._read_functions()
        self._tests, self._seconds = self._read_calls()

    def names(self):
        """Of all mutants."""
        return list(self._functions)

    def change(self, name):
        """The lines that a mutant takes out and puts in, as `- old + new`."""
        shown = self._python(self.place, "mutmut", "show", name).splitlines()
        lines = [line for line in shown if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)

    def outcomes(self, names):
        """Name → whether a test noticed. What was noticed before, with the function as it is, is not run again."""
        kept = {name for name, function in self._noticed() if self._functions.get(name) == function}
        left = {name: self._functions[name] for name in names if name not in kept}
        if left:
            tests = {name: self._ordered(name) for name in left}
            orders = {"mutants": left, "tests": tests, "seconds": self._seconds, "options": self.options}
            self._python(self.place / "mutants", "bench.mutants.judge", str(self._file), given=json.dumps(orders))
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

    def _read_calls(self):
        """Function → tests that call it, and test → seconds. UserError where a test fails as the code is."""
        path = self.place / "calls.jsonl"
        arguments = [str(path), *self.options, *self.folder.tests]
        self._python(self.place / "mutants", "bench.mutants.calls", *arguments, may_fail=True)
        lines, tests = calls.present(calls.read(path), self.place / "mutants"), {}
        failed = [line["test"] for line in lines if not line["passed"]]
        if failed or not lines:
            raise UserError(f"these tests do not pass in {self.place}: {', '.join(failed) or 'none was found'}")
        for line in lines:
            for function in line["calls"]:
                tests.setdefault(function, []).append(line["test"])
        return tests, {line["test"]: line["seconds"] for line in lines}

    def _refresh(self):
        """Bring what is tracked into the copy, where it is another, and the engines that were built."""
        listed = tools.run(["git", "-C", str(ROOT), "ls-files"]).stdout.splitlines()
        built = [f"build/{path.name}" for path in (ROOT / "build").glob("cosim-*")]
        found = [name for name in [*listed, *built] if (ROOT / name).is_file() and name != "pyproject.toml"]
        for name in found:
            source, target = ROOT / name, self.place / name
            if not target.exists() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
                (self.place / "mutants" / name).unlink(missing_ok=True)  # mutmut copies what is not there
        others = {name.partition("/")[0] for name in found} - {self.source}
        lists = {"mutated": json.dumps(list(self.folder.mutated)), "others": json.dumps(sorted(others))}
        settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        settings += SETTINGS.format(source=self.source, **lists)
        (self.place / "pyproject.toml").write_text(settings, encoding="utf-8")

    def _python(self, place, module, *arguments, given=None, may_fail=False):
        """What a module prints, run in `place`. UserError with its last words where it fails."""
        done = tools.run([sys.executable, "-m", module, *arguments], cwd=place, given=given)
        if done.returncode and not may_fail:
            last = " ".join((done.stdout + done.stderr).split())[-300:]
            raise UserError(f"{module} in {place} ended with {done.returncode}: {last}")
        return done.stdout + done.stderr
