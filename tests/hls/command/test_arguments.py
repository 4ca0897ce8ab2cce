"""Numbers of command lines: in range or one sentence; and no option of any command takes a number without a range."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.command.arguments import THREADS, Parser, Real, Several, Whole

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("hls", "data", "training", "export", "host", "bitstreams", "bench")


def parse(kind, text):
    parser = Parser(prog="name")
    parser.add_argument("--n", type=kind)
    return parser.parse_args(["--n", text]).n


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Whole(1, 1024), "1", 1),
        (Whole(1, 1024), "1024", 1024),
        (Whole(-3), "-3", -3),
        (Whole(0), "9" * 30, int("9" * 30)),
        (Real(0, 1e6, without_least=True), "1e-3", 0.001),
        (Real(0, 50), "0", 0.0),
        (Several(3, Real(0, 1)), "0.1,0,1", (0.1, 0.0, 1.0)),
    ],
)
def test_in_range(kind, text, value):
    assert parse(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Whole(1, 1024), "0", "a whole number from 1 to 1024"),
        (Whole(1, 1024), "-1", "a whole number from 1 to 1024"),
        (Whole(1, 1024), "1025", "a whole number from 1 to 1024"),
        (Whole(1), "2.5", "a whole number, 1 or more"),
        (Whole(1), "many", "a whole number, 1 or more"),
        (Whole(1), "", "a whole number, 1 or more"),
        (Whole(1), "9" * 5000, "a whole number, 1 or more"),
        (Real(0, 1e6, without_least=True), "0", "a number above 0, 1e+06 at most"),
        (Real(0, None, without_least=True), "nan", "a number above 0"),
        (Real(0, 50), "inf", "a number from 0 to 50"),
        (Real(0), "1e999", "a number, 0 or more"),
        (Several(3, Real(0, 1)), "0.5", "3 numbers apart by commas"),
        (Several(3, Real(0, 1)), "0.5,2,0.1", "a number from 0 to 1"),
    ],
)
def test_out_of_range_is_one_line_and_exit_code_2(capsys, kind, text, expected):
    with pytest.raises(SystemExit) as stop:
        parse(kind, text)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and len(err) < 160
    assert err.startswith("name: argument --n: ") and f"expected {expected} (--help" in err


@given(st.integers(-(2**70), 2**70), st.integers(-100, 100), st.integers(0, 100))
def test_a_whole_number_is_taken_if_and_only_if_it_is_within(value, least, room):
    kind = Whole(least, least + room)
    try:
        assert kind(str(value)) == value and least <= value <= least + room
    except Exception as error:
        assert "expected a whole number" in str(error) and not least <= value <= least + room


def plain_numbers(text):
    """The lines of add_argument calls (also by another name) whose type is int or float, or is not named."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            types = [word.value for word in node.keywords if word.arg == "type"]
            yield from (node.lineno for kind in types if isinstance(kind, ast.Name) and kind.id in ("int", "float"))


def test_every_number_of_every_command_line_has_a_range():
    assert list(plain_numbers('add("--n", type=int)')) == [1]
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 150
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in plain_numbers(path.read_text("utf-8"))]
    assert found == []


def test_every_command_line_is_refused_in_one_sentence():
    """By the one parser whose errors are one line."""
    plain = re.compile(r"argparse\.ArgumentParser\(")
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert [str(path.relative_to(ROOT)) for path in paths if plain.search(path.read_text("utf-8"))] == []


def test_threads():
    assert Whole(1, 1024) == THREADS
