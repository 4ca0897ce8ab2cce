"""How commands end: one line and an exit code for whatever happens, the same for every signal, in any locale."""

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hls.command import entry, signals
from hls.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


class Loud(Exception):
    """Something with an exit code of its own."""


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("found\n  this"), 2, "name: found this"),
        (Loud("over"), 3, "name: over"),
        (FileNotFoundError(2, "No such file", "a"), 2, "name: [Errno 2] No such file: 'a': check that the file can be"),
        (MemoryError(), 2, "name: not enough memory"),
        (KeyboardInterrupt(), 2, "name: interrupted: nothing was written"),
    ],
)
def test_what_ends_it_is_one_line_and_a_code(capsys, error, code, line):
    assert entry.guarded("name", raising(error), codes={Loud: 3}) == code
    err = capsys.readouterr().err
    assert err.startswith(line) and err.count("\n") == 1


def test_a_fault_of_its_own_stays_a_fault():
    with pytest.raises(Loud):
        entry.guarded("name", raising(Loud("what nobody foresaw")))
    assert entry.guarded("name", lambda: 7) == 7


def test_what_is_said_of_an_interrupt(capsys):
    assert entry.guarded("name", raising(KeyboardInterrupt()), interrupted=lambda: "kept 2") == 2
    assert entry.guarded("name", raising(KeyboardInterrupt()), "kept 3", {KeyboardInterrupt: 130}) == 130
    assert capsys.readouterr().err == "name: kept 2\nname: kept 3\n"


def test_the_three_signals_of_an_end():
    assert signals.ENDING == (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(5)


@pytest.mark.parametrize("number", signals.ENDING, ids=lambda number: number.name)
def test_each_signal_is_the_same_end(capsys, number):
    before = [signal.getsignal(each) for each in signals.ENDING]
    assert entry.guarded("name", lambda: send(number)) == 2
    assert capsys.readouterr().err == "name: interrupted: nothing was written\n"
    assert [signal.getsignal(each) for each in signals.ENDING] == before


def test_a_second_signal_does_not_break_into_the_end():
    done = []

    def work():
        try:
            send(signal.SIGHUP)
        finally:
            for number in signals.ENDING:
                os.kill(os.getpid(), number)
            time.sleep(0.05)
            done.append("cleaned up")

    assert entry.guarded("name", work) == 2 and done == ["cleaned up"]


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert entry.guarded("name", lambda: os.kill(os.getpid(), signal.SIGHUP) or 5) == 5
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_must_not_be_torn_is_done_before_the_end():
    done = []

    def work():
        with signals.held():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.02)
            done.append("whole")
        done.append("not reached")

    assert entry.guarded("name", work) == 2 and done == ["whole"]
    with signals.handled(lambda number, frame: done.append(number)), signals.held():
        os.kill(os.getpid(), signal.SIGHUP)
        assert done == ["whole"]
    assert done == ["whole", signal.SIGHUP]


def test_a_handler_of_ones_own_and_another_thread():
    got = []
    with signals.handled(lambda number, frame: got.append(number)):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
    assert sorted(got) == sorted([signal.SIGTERM, signal.SIGHUP])
    thread = threading.Thread(target=lambda: got.append(entry.guarded("name", lambda: 4)))
    thread.start()
    thread.join()
    assert got[-1] == 4


CODE = "import sys; from hls.command.entry import guarded; sys.exit(guarded('name', lambda: print('→ é █') or 0))"


@pytest.mark.parametrize("encoding", ["iso8859-1", "ascii", "utf-8"])
def test_letters_that_a_terminal_does_not_have(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == "→ é █\n".encode(encoding, "replace")


def without_encoding(text):
    """The lines on which a text file is read or written in whatever encoding the user's locale has."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        words = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        if name in ("read_text", "write_text") or (name == "open" and words and words[-1] in ("r", "w", "a", "x")):
            yield node.lineno


def test_no_text_file_is_opened_in_the_locale_s_encoding():
    assert list(without_encoding('a.read_text()\nopen("a", "w")\np.open("a")\nopen("a", "wb")')) == [1, 2, 3]
    folders = ("hls", "data", "training", "export", "host", "bitstreams", "bench")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in without_encoding(path.read_text("utf-8"))]
    assert len(paths) > 150 and found == []


def test_a_terminal_that_is_gone_stops_no_end():
    """After a hang-up nothing can be said, and the exit code is still that of an interrupt."""
    code = (
        "import os, signal, sys, time; from hls.command.entry import guarded\n"
        "def work():\n    os.close(2); os.kill(os.getpid(), signal.SIGHUP); time.sleep(5)\n"
        "os._exit(guarded('name', work))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert result.returncode == 2
