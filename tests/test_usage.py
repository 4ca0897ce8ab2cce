"""Commands and calls in docstrings and documents work as written: the module is there, its parser takes the options.

A command's parser is asked without running what comes after it; RUNS are those that need neither data nor board and
take a moment. A call in a docstring must fit the signature of its function.
"""

import argparse
import ast
import importlib
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hls", "data", "training", "export", "host", "bitstreams", "bench")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
COMMAND = re.compile(r"^ *(?:[A-Z_]+=\S+ )?((?:\.venv/bin/)?(?:python3?|pytest) .*|make [a-z].*)$", re.MULTILINE)
CONTINUED = re.compile(r" \\\n +")  # a command over several lines
FOREIGN = ("make -f", "make &&")  # of other projects, which are built on the way
RUNS = (
    ["-m", "hls.generate", "--check"],
    ["-m", "bitstreams.generate", "--check"],
    ["-m", "bitstreams.design"],
    ["-m", "bench", "all", "--check"],
)


class Parsed(Exception):
    """A parser took what it was given."""


def docstrings(path):
    """The docstrings of a module, and of its functions and classes."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def commands():
    """Every command line once: its words, and the files it stands in."""
    found = {}
    for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *DOCUMENTS]:
        texts = docstrings(path) if path.suffix == ".py" else [path.read_text(encoding="utf-8")]
        for line in (line for text in texts for line in COMMAND.findall(CONTINUED.sub(" ", text))):
            words = tuple(shlex.split(re.split(r"\s{2,}(?![-\[])| < |  #| # |; ", line)[0].replace("`", "")))
            if not line.startswith(FOREIGN):
                found.setdefault(words, set()).add(str(path.relative_to(ROOT)))
    return found


COMMANDS = commands()
PYTHON = sorted(words for words in COMMANDS if "python" in words[0])
OTHER = sorted(words for words in COMMANDS if "python" not in words[0])


def shown(words):
    return " ".join(words)


def module_of(words):
    """(the module that a command starts, its arguments); a script of host/ is host.NAME."""
    if words[1:3] == ("-m", "bitstreams.points") and len(words) > 5:  # BOARD POINT, then the module it starts
        return words[5], list(words[6:])
    if words[1] == "-m":
        return words[2], list(words[3:])
    assert (ROOT / words[1]).is_file(), f"no {words[1]}, named in {COMMANDS[words]}"
    return words[1].removesuffix(".py").replace("/", "."), list(words[2:])


@pytest.mark.parametrize("words", PYTHON, ids=shown)
def test_the_parser_takes_the_options(words, monkeypatch, capsys):
    name, argv = module_of(words)
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    if "parse_args(" not in inspect.getsource(module):
        assert not [word for word in argv if word.startswith("-")], f"{name} has no options: {COMMANDS[words]}"
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *arguments):
        parse(self, *arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    try:
        module.main(argv)
    except Parsed:
        return
    except SystemExit:
        pytest.fail(f"{capsys.readouterr().err.splitlines()[-1]} (in {', '.join(COMMANDS[words])})")
    pytest.fail(f"{name}.main read no arguments (in {', '.join(COMMANDS[words])})")


@pytest.mark.parametrize("words", OTHER, ids=shown)
def test_targets_and_tests_are_there(words):
    where = ", ".join(COMMANDS[words])
    if words[0] == "pytest":
        assert all((ROOT / word).exists() or word in ("--cosim", "-k", "-q") for word in words[1:]), where
        return
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        name = word.strip("[]").partition("=")[0]
        known = rf"\$\({name}\)" if name.isupper() or "=" in word else rf"^{name}:"
        assert re.search(known, text, re.MULTILINE) or re.search(rf"\$\(if \$\({name}\)", text), f"{word} ({where})"


@pytest.mark.parametrize("arguments", RUNS, ids=shown)
def test_what_needs_neither_data_nor_board_runs(arguments):
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["run", "sweep", "doctor", "deploy", "server"])
def test_a_script_of_the_host_starts_from_any_folder(name, tmp_path):
    command = [sys.executable, str(ROOT / "host" / f"{name}.py"), "--help"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "Exit codes:" in result.stdout, result.stderr


def calls(path):
    """(line, call of a name) of the lines of a module's docstring that are Python."""
    for line in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines():
        for text in (line.strip(), f"{line.strip()}\n    pass"):
            try:
                tree = ast.parse(text)
            except SyntaxError:
                continue
            found = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            yield from ((line.strip(), node) for node in found if isinstance(node.func, ast.Name))


def fits(function, call):
    """Do the arguments of a call fit the function's signature? A starred one fits whatever it stands for."""
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return True
    try:
        inspect.signature(function).bind(*call.args, **{word.arg: word.value for word in call.keywords if word.arg})
    except TypeError:
        return False
    except ValueError:  # a class of Python's own without a signature
        return True
    return True


CALLS = {path: found for path in SOURCES if (found := list(calls(path)))}


@pytest.mark.parametrize("path", CALLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_calls_in_a_docstring_fit_their_functions(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for line, call in CALLS[path]:
        function = getattr(module, call.func.id, None)
        assert function is None or fits(function, call), f"{path.relative_to(ROOT)}: {line}"


def test_the_search_finds_what_it_is_for():
    assert len(PYTHON) > 60 and len(OTHER) > 15 and len(CALLS) > 60
    assert ("python", "host/run.py", "--budget", "74M") in COMMANDS
    assert not fits(shown, ast.parse("shown(1, 2)", mode="eval").body)
