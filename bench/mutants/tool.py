"""mutmut at work on a copy of the tree: names, changes and outcomes of a folder's mutants.

work = Work(folder)
work.names()                    # of all its mutants
work.outcomes(names)            # name → whether a test noticed
"""

import importlib.util
import json
import shutil
import sys

from bench.rows import ROOT
from hls.command import tools
from hls.errors import UserError

PLACE = ROOT / "build" / "mutants"
ROOMS = ("hls", "data", "training", "export", "host", "bitstreams", "bench", "tests", "packages", "docs", "build")
KILLED = (1, 3, 24, 36, 152, 255, -24)  # mutmut's codes: a test failed, pytest did, or time ran out
NOBODY = "nobody.*"  # no mutant's name: mutmut makes the mutants, asks the tests what they call, and ends
OPTIONS = """
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
        self.folder, self.place, self.threads = folder, PLACE / folder.name, threads
        self._refresh()
        said = self._run(NOBODY, may_fail=True)
        if not self._asked():
            raise UserError(f"the tests of {folder.name} do not pass in {self.place}: {' '.join(said.split())[-200:]}")

    def names(self):
        """Of all mutants."""
        return list(self._codes())

    def change(self, name):
        """The lines that a mutant takes out and puts in, as `- old + new`."""
        shown = self._mutmut("show", name).splitlines()
        lines = [line for line in shown if line[:1] in "-+" and line[:3] not in ("---", "+++")]
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)

    def outcomes(self, names):
        """Name → whether a test noticed; what was killed before is not run again."""
        left = [name for name in names if self._codes()[name] not in KILLED]
        if left:
            self._run(*left)
        codes = self._codes()
        return {name: codes[name] in KILLED for name in names}

    def _asked(self):
        """Whether mutmut knows which tests call what."""
        try:
            known = json.loads((self.place / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(known["tests_by_mangled_function_name"])

    def _codes(self):
        """Name → mutmut's code, None for what was not run."""
        found = {}
        for path in sorted((self.place / "mutants").rglob("*.meta")):
            found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if not found:
            raise UserError(f"mutmut made no mutants in {self.place}: python -m mutmut run says why there")
        return found

    def _refresh(self):
        """Bring what is tracked into the copy, where it is newer, and the engines that were built."""
        listed = tools.run(["git", "-C", str(ROOT), "ls-files"]).stdout.splitlines()
        built = [f"build/{path.name}" for path in (ROOT / "build").glob("cosim-*")]
        for name in [name for name in [*listed, *built] if (ROOT / name).is_file()]:
            source, target = ROOT / name, self.place / name
            if not target.exists() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        with (self.place / "pyproject.toml").open("w", encoding="utf-8") as file:
            file.write((ROOT / "pyproject.toml").read_text(encoding="utf-8") + self._options())

    def _options(self):
        folder = self.folder
        options = ["--cosim", "-p", "no:cacheprovider", *(f"--ignore={path}" for path in folder.without)]
        lists = {"mutated": folder.mutated, "rooms": ROOMS, "tests": folder.tests, "options": options}
        source = folder.mutated[0].split("/")[0]
        return OPTIONS.format(source=source, **{name: json.dumps(list(items)) for name, items in lists.items()})

    def _run(self, *names, may_fail=False):
        return self._mutmut("run", "--max-children", str(self.threads), *names, may_fail=may_fail)

    def _mutmut(self, *arguments, may_fail=False):
        """What `mutmut` prints. UserError with its last words where it fails."""
        command = [sys.executable, "-m", "mutmut", *arguments]
        done = tools.run(command, cwd=self.place)
        if done.returncode and not may_fail:
            last = " ".join((done.stdout + done.stderr).split())[-200:]
            raise UserError(f"mutmut {arguments[0]} in {self.place} ended with {done.returncode}: {last}")
        return done.stdout
