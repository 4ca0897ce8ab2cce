"""Outputs: regular files whole, devices and FIFOs in place, links followed; found unusable before the work."""

import contextlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hls.command import outputs
from hls.command.outputs import Output, OutputError, Outputs, made, write
from hls.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def refused(text):
    return pytest.raises(OutputError, match=text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------------- regular files
def test_a_file_is_there_when_it_is_written_and_not_before(tmp_path):
    with Output(tmp_path / "a.json") as output:
        assert names(tmp_path) == []
        output.write("é → ü\n")
    assert (tmp_path / "a.json").read_bytes() == "é → ü\n".encode() and names(tmp_path) == ["a.json"]
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~_umask()


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_what_was_there_stays_until_then_with_its_mode(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    path.chmod(0o640)
    with Output(path) as output:
        assert path.read_text() == "old"
        output.write(b"new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")
    with Output(path, "--json") as output:
        monkeypatch.setattr(outputs.os, "fsync", _full)
        with pytest.raises(OutputError, match=r"--json .*a.json cannot be written .No space left"):
            output.write("new")
    assert path.read_text() == "old" and names(tmp_path) == ["a.json"]
    with pytest.raises(OutputError, match=r"No space left"):
        Output(path)
    assert names(tmp_path) == ["a.json"]


def _full(*_):
    raise OSError(28, "No space left on device")


def test_an_interrupt_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    with Output(tmp_path / "a.json") as output:
        monkeypatch.setattr(outputs.os, "fsync", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            output.write("new")
    assert names(tmp_path) == []


def _interrupt(*_):
    raise KeyboardInterrupt


def test_a_file_that_is_a_mount_of_its_own_is_written_in_place(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def busy(*_):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(outputs.os, "replace", busy)
    write(path, "new")
    assert path.read_text() == "new" and names(tmp_path) == ["a.json"]


def test_letters_that_are_no_unicode_are_written_as_escapes(tmp_path):
    write(tmp_path / "a.json", '"caf\udce9"')  # as a command line in Latin-1 has them
    assert (tmp_path / "a.json").read_text("utf-8") == '"caf\\udce9"'


@pytest.mark.parametrize("name", ["x" * 200 + ".json", "é" * 100 + ".json"])
def test_long_names(tmp_path, name):
    write(tmp_path / name, "new")
    assert names(tmp_path) == [name]


# ---------------------------------------------------------------------------------------------------------------- links
def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "real.json"
    for known in (False, True):
        link = tmp_path / f"link-{known}.json"
        link.symlink_to(Path("there") / "real.json")
        write(link, f"new {known}")
        assert link.is_symlink() and target.read_text() == f"new {known}" and names(target.parent) == ["real.json"]


def test_a_link_to_nowhere_or_to_itself_is_told_at_once(tmp_path):
    (tmp_path / "lost").symlink_to(tmp_path / "no" / "folder" / "a.json")
    with pytest.raises(OutputError, match=r"there is no folder .*no/folder: make it first"):
        Output(tmp_path / "lost")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError, match=r"symbolic links"):
        Output(tmp_path / "loop")


# ------------------------------------------------------------------------------------------------ devices, pipes, FIFOs
def test_a_device_stays_a_device():
    before = os.stat("/dev/null")
    write("/dev/null", "gone")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode) and (after.st_rdev, after.st_ino) == (before.st_rdev, before.st_ino)
    assert not [name for name in os.listdir("/dev") if "partial" in name]


def test_a_full_device_is_told_in_a_sentence():
    with Output("/dev/full") as output, pytest.raises(OutputError, match=r"/dev/full cannot be written .No space left"):
        output.write("text")


def test_a_fifo_gets_the_text_and_stays(tmp_path, capsys):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    starter = threading.Timer(0.2, reader.start)
    starter.start()
    write(fifo, "text " * 50_000)  # more than a pipe holds
    starter.join()
    reader.join(10)
    assert got == ["text " * 50_000] and stat.S_ISFIFO(fifo.stat().st_mode)
    assert capsys.readouterr().err == f"waiting: for a reader of {fifo}\n"


def test_a_reader_that_went_away_is_a_sentence(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Output(fifo) as output:
        os.close(reader)
        with pytest.raises(OutputError, match=r"Broken pipe"):
            output.write("text")


SCRIPT = (
    "import sys; from hls.command.outputs import write; print('first'); write(sys.argv[1], 'text\\n'); print('last')"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_its_name_keeps_what_was_printed(tmp_path, name):
    """A shell's `> file` with --json /dev/stdout: neither is lost, and the file is the shell's still."""
    file = tmp_path / "out"
    with file.open("wb") as out:
        subprocess.run([sys.executable, "-c", SCRIPT, name], cwd=ROOT, stdout=out, check=True)
    assert file.read_text() == "first\ntext\nlast\n" and names(tmp_path) == ["out"]


def test_a_process_substitution(tmp_path):
    command = f'{sys.executable} -c "{SCRIPT}" >(cat > {tmp_path / "copy"}); wait $!'
    subprocess.run(["bash", "-c", command], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "copy").read_text() == "text\n"


def test_a_descriptor_for_reading_is_refused():
    reader, writer = os.pipe()
    with (
        contextlib.closing(os.fdopen(reader)),
        contextlib.closing(os.fdopen(writer, "w")),
        refused("for reading alone"),
    ):
        Output(f"/dev/fd/{reader}")
    with pytest.raises(OutputError, match=r"Bad file descriptor"):
        Output("/dev/fd/987654")


# ------------------------------------------------------------------------------------------------------ before the work
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("none/a.json", "there is no folder"),
        ("folder", "it is a folder, expected a file"),
        ("file/a.json", "Not a directory"),
        ("/proc/ddi.json", "cannot be written"),
        ("/dev/null/a.json", "Not a directory"),
    ],
)
def test_what_cannot_be_written_is_found_before(tmp_path, place, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match=expected):
        Outputs({"--json": tmp_path / place})
    assert names(tmp_path) == ["file", "folder"] and (tmp_path / "file").read_text() == "kept"


def test_a_file_that_is_read_only_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("kept")
    monkeypatch.setattr(outputs.os, "access", lambda path, mode: False)  # root may write all
    with pytest.raises(OutputError, match=r"read-only"):
        Output(tmp_path / "a.json")


def test_two_outputs_are_two_files_and_no_input(tmp_path):
    (tmp_path / "in.npz").write_bytes(b"package")
    (tmp_path / "link").symlink_to(tmp_path / "in.npz")
    with pytest.raises(UserError, match=r"--json .*link would be written over .*in.npz, which is read"):
        Outputs({"--json": tmp_path / "link"}, inputs=[tmp_path / "in.npz", None])
    with pytest.raises(UserError, match=r"--picture .*a would be written over what --json writes"):
        Outputs({"--json": tmp_path / "a", "--picture": tmp_path / ".." / tmp_path.name / "a"})
    with Outputs({"--json": "/dev/null", "--trace": "/dev/null", "--picture": None}) as both:
        assert "--trace" in both and "--picture" not in both


def test_what_can_be_written_is_written(tmp_path):
    paths = {"--json": "/dev/full", "--picture": tmp_path / "a.svg", "--trace": None}
    with Outputs(paths) as several, pytest.raises(OutputError) as caught:
        several.write({"--json": "text", "--picture": "<svg/>", "--trace": "nobody asked"})
    assert (tmp_path / "a.svg").read_text() == "<svg/>"
    assert str(caught.value).startswith("--json /dev/full cannot be written (No space left on device)")
    assert str(caught.value).endswith(f"; written: {tmp_path / 'a.svg'}")


def test_folders(tmp_path):
    assert made(tmp_path / "a" / "b", "--out") == tmp_path / "a" / "b" and names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match=r"--out .*file is a file: give a folder"):
        made(tmp_path / "file", "--out")
    with pytest.raises(UserError, match=r"--out .*cannot be written into"):
        made("/proc/ddi", "--out")
