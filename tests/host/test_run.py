"""host/run.py end to end on a tiny package: what it reports, and one line for everything that can be wrong."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.standin import tiny
from data import datasets
from hls import golden, isa
from hls.package import read
from hls.record import NO_BUDGET, Start, decode
from host import batches, job
from host import run as command
from host.arguments import run_parser
from host.backend import Backend, BackendMissing
from host.board import catalog
from host.budgets import budget
from host.budgets.plan import FixedPlan
from host.job import read_job
from host.simulation import Cosim

ROOT = Path(__file__).resolve().parents[2]
MHZ = catalog.read().clock_hz / 1e6
KEYS = {"images", "accuracy", "budget", "flops", "cycles", "exits", "layers_run", "channels_run", "seconds"}
KEYS |= {"backend", "package", "engine"}


@pytest.fixture
def path(tmp_path):
    return tiny.save(tmp_path / "tiny.npz")


def run(capsys, *argv):
    """(exit code, standard output, the one line of standard error without its name)."""
    try:
        code = command.main([str(word) for word in argv])
    except SystemExit as stop:  # the command line itself
        code = stop.code
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1 and "Traceback" not in err
    return code, out, err.removeprefix("run: ").strip()


def results(capsys, path, *argv):
    code, out, err = run(capsys, "--package", path, "--backend", "golden", "--images", 40, "--json", "-", *argv)
    assert (code, err) == (0, "")
    return json.loads(out)


# ------------------------------------------------------------------------------------------------------- what it does
def test_json_holds_what_is_promised(capsys, path):
    found = results(capsys, path)
    assert set(found) >= KEYS
    assert found["images"] == 40 and found["backend"] == "golden" and found["budget"]["kind"] == "none"
    assert found["cycles"]["kind"] == found["time_ms"]["kind"] == "modelled"
    assert found["time_ms"]["clock_kind"] == "target"
    assert sum(item["images"] for item in found["exits"].values()) == 40
    assert found["engine"]["isa"] == isa.HASH and len(found["package"]["sha256"]) == 64
    assert found["command"].startswith("python host/run.py --package")


def test_figures_are_the_engines(capsys, path):
    images, labels = (array[:40] for array in datasets.load_sample())
    package = read(path)
    start = Start(gates=1, classes=10)
    expected = decode(golden.run(package.program, package.weights, package.tables, images, start), start)
    found = results(capsys, path)
    assert found["accuracy"] == pytest.approx((expected.label == labels).mean())
    assert found["flops"]["mean"] == pytest.approx(expected.flops.mean())
    assert found["cycles"]["max"] == expected.cycles.max()
    assert found["layers_run"] == {"mean": expected.layers_run.mean(), "min": 0, "max": 1, "total": 1}
    assert found["gates"][0]["run"] == pytest.approx((expected.trace[:, 0] >= 0).mean())


def test_twenty_budgets_are_kept(capsys, path):
    least, full = (item["flops"] for item in tiny.package().exits)
    for flops in np.linspace(least, full, 20).round().astype(int):
        found = results(capsys, path, "--budget", f"{flops / 1000:.3f}k")
        assert found["budget"]["flops"] == flops and found["flops"]["max"] <= flops
    assert found["exits"]["end"]["images"] == 40


def test_a_budget_of_time(capsys, path):
    cycles = tiny.package().exits[0]["cycles"]
    found = results(capsys, path, "--budget", f"{cycles / MHZ + 0.01:.3f}us")
    assert cycles <= found["budget"]["cycles"] <= cycles + 2 and found["cycles"]["max"] <= cycles
    assert found["exits"]["tap"]["images"] == 40 and found["reasons"]["BUDGET"] == 40


def test_table_and_files(capsys, path, tmp_path):
    files = ["--json", tmp_path / "a.json", "--picture", tmp_path / "a.svg"]
    code, out, err = run(capsys, "--package", path, "--backend", "golden", "--images", 300, *files)
    assert (code, err) == (0, "")
    for words in (
        "accuracy",
        "cycles (modelled)",
        "time (modelled)",
        "target clock",
        "stopped by",
        "end",
        "300 images",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 110
    assert json.loads((tmp_path / "a.json").read_text())["images"] == 300
    assert (tmp_path / "a.svg").read_text().endswith("</svg>\n")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.json", "a.svg", "tiny.npz"]


def test_with_many_classes_the_five_best_count_too(capsys, tmp_path):
    """Top-1 and top-5 by hand; with ten classes nobody asks."""
    path = tiny.save(tmp_path / "many.npz", classes=30)
    found = results(capsys, path)
    images, labels = (array[:40] for array in datasets.load_sample())
    package = read(path)
    start = package.start()
    logits = decode(golden.run(package.program, package.weights, package.tables, images, start), start).logits
    better = [sum(row > row[label]) + sum(row[:label] == row[label]) for row, label in zip(logits, labels)]
    assert found["top5_accuracy"] == np.mean(np.array(better) < 5) >= found["accuracy"]
    assert (
        f"top-5 accuracy     {found['top5_accuracy']:.2%}"
        in run(capsys, "--package", path, "--backend", "golden", "--images", 40)[1]
    )
    few = tiny.save(tmp_path / "few.npz")
    assert results(capsys, few)["top5_accuracy"] is None
    assert "top-5" not in run(capsys, "--package", few, "--backend", "golden", "--images", 40)[1]


def test_a_package_by_name(capsys, path, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "PACKAGES", tmp_path)
    assert results(capsys, "tiny")["package"]["file"] == "tiny.npz"
    code, _, err = run(capsys, "--package", "tinny")
    assert code == 2 and "no package tinny" in err and "(tiny)" in err


def test_as_a_script(path, tmp_path):
    """From another folder, with nothing on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    argv = [
        sys.executable,
        ROOT / "host/run.py",
        "--package",
        path,
        "--backend",
        "golden",
        "--images",
        "3",
        "--json",
        "-",
    ]
    result = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert json.loads(result.stdout)["images"] == 3 and result.stderr == ""
    result = subprocess.run(
        [*argv, "--budget", "5parsecs"], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 2 and result.stderr.count("\n") == 1


def test_it_never_imports_torch(path):
    argv = ["--package", path, "--backend", "golden", "--images", "2"]
    code = f"import sys; from host.run import main; main({argv!r}); "
    code += "sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_help_says_the_defaults(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "(default: fashion-mnist)" in out and "(default: none)" in out and "None" not in out


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--budget", "74"], "no unit"),
        (["--budget", "1nJ"], "the smallest that works with this package is --budget"),
        (["--limit", "3"], "expected power (2.9W, 900mW) or energy"),
        (["--limit", "3W", "--budget", "74M"], "leave --budget away"),
        (["--limit", "3W", "--schedule", "-"], "give one of them"),
        (["--schedule", "no/such/file"], "No such file"),
        (["--rate", "0"], "'0': expected a number above 0, 1e+09 at most"),
        (["--rate", "nan"], "'nan': expected a number above 0"),
        (["--entropy", "0"], "'0': expected a number above 0, 100 at most"),
        (["--entropy", "nan"], "expected a number above 0"),
        (["--pool", "0"], f"'0': expected a whole number from 1 to {isa.MAX_POOL}"),
        (["--trace", "a.csv"], "give --meter too"),
        (["--meter", "serial"], "is not understood"),
        (["--meter", "replay:none.csv"], "cannot be read"),
        (["--budget", "0.05k"], "smallest that works with this package is --budget 0.06k"),
        (["--budget", "1us"], f"at {MHZ:g} MHz: the smallest that works with this package is --budget "),
        (["--images", "0"], "'0': expected a whole number, 1 or more"),
        (["--images", "-5"], "'-5': expected a whole number, 1 or more"),
        (["--images", "2.5"], "'2.5': expected a whole number, 1 or more"),
        (["--images", "1001"], "at most 1000"),
        (["--threads", "-1"], "'-1': expected a whole number from 1 to 1024"),
        (["--picture", "a.png"], ".svg"),
        (["--json", "no/such/folder.json"], "there is no folder"),
        (["--json", "."], "it is a folder, expected a file"),
        (["--json", "/proc/a.json"], "--json /proc/a.json cannot be written"),
        (["--package", "none.npz"], "no package none.npz"),
        (["--package", __file__], "not a package"),
        (["--data", "no/such/folder"], "no folder no/such/folder"),
    ],
)
def test_bad_arguments(capsys, path, argv, expected):
    code, out, err = run(capsys, "--package", path, "--backend", "golden", *argv)
    assert code == 2 and out == "" and expected in err


@pytest.mark.parametrize("argument", [["--backend", "gpu"], ["--images", "many"], ["--budgt", "3M"]])
def test_unknown_options(capsys, argument):
    code, out, err = run(capsys, *argument)
    assert (code, out) == (2, "") and argument[0] in err and err.endswith("(--help says more)")


def test_damaged_and_foreign_packages(capsys, path, tmp_path, monkeypatch):
    good = Path(path).read_bytes()
    for content in (good[:-1], good[:1000] + b"\x55" + good[1001:], b"", b"PK\3\4" + b"\0" * 500):
        Path(path).write_bytes(content)
        code, out, err = run(capsys, "--package", path, "--backend", "golden")
        assert code == 2 and str(path) in err and out == ""
    Path(path).write_bytes(good)
    monkeypatch.setattr(isa, "HASH", "0123456789abcdef")
    code, _, err = run(capsys, "--package", path)
    assert code == 2 and "this is 0123456789abcdef" in err and "export it again" in err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"height": 28}, "images of 32 × 32 × 3, the package takes 28 × 28 × 3"),
        ({"classes": 7}, "labels up to 9, the package 7 classes"),
        ({"dataset": "imagenet"}, "for 'imagenet', no official data set (cifar10, cifar100"),
    ],
)
def test_packages_for_other_data(capsys, tmp_path, options, expected):
    code, out, err = run(capsys, "--package", tiny.save(tmp_path / "other.npz", **options), "--backend", "golden")
    assert code == 2 and expected in err and out == ""


def test_missing_data_says_how_to_give_it(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    code, _, err = run(capsys, "--package", tiny.save(tmp_path / "c.npz", dataset="cifar10"), "--backend", "golden")
    assert code == 2 and "cannot download" in err and "--data" in err


def _no_network(*_, **__):
    raise OSError("no network")


# ------------------------------------------------------------------------------------------------------------ failures
class Broken(Backend):
    """A backend that gives the golden model's records, changed by a function."""

    name = title = version = "broken"

    def __init__(self, change):
        self.change = change

    def run(self, package, images, start, history=None):
        records = golden.run(package.program, package.weights, package.tables, images, package.start())
        self.change(records)
        return records


def with_backend(monkeypatch, change):
    monkeypatch.setattr("host.backends.choose", lambda *_: Broken(change))


def test_an_image_over_its_budget_is_loud(capsys, path, monkeypatch, tmp_path):
    with_backend(monkeypatch, lambda records: None)  # runs without the budget
    least = tiny.package().exits[0]["flops"]
    json_file = tmp_path / "a.json"
    code, out, err = run(capsys, "--package", path, "--budget", f"{least / 1000}k", "--json", json_file, "--images", 5)
    assert code == 3 and out == "" and "fault of the engine" in err and "went over the budget" in err
    assert not json_file.exists()


def test_a_failed_image_becomes_a_sentence(capsys, path, monkeypatch):
    def fail(records):
        records[4:, 0] = isa.STATUS_NOT_RUN
        records[3, :3] = isa.STATUS_BAD_WEIGHTS, 3, 5

    with_backend(monkeypatch, fail)
    code, out, err = run(capsys, "--package", path, "--images", 20)
    assert code == 2 and out == "" and "image 3: BAD_WEIGHTS at instruction 5" in err


def test_interrupted_nothing_is_written(capsys, path, monkeypatch, tmp_path):
    def interrupt(records):
        raise KeyboardInterrupt

    with_backend(monkeypatch, interrupt)
    before = sorted(tmp_path.iterdir())
    files = ["--json", tmp_path / "a.json", "--picture", tmp_path / "a.svg"]
    code, out, err = run(capsys, "--package", path, *files)
    assert (code, out, err) == (2, "", "interrupted: nothing was written")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_one_line(path, tmp_path, number):
    """As a process of its own: its first batch is announced by a backend that then waits."""
    code = (
        "import runpy, sys, time\nsys.argv = ['run.py', *sys.argv[1:]]\nfrom host.simulation import Golden\n"
        "Golden.run = lambda *_: (print('started', flush=True), time.sleep(60))\n"
        "runpy.run_path('host/run.py', run_name='__main__')"
    )
    json_file = tmp_path / "a.json"
    argv = [sys.executable, "-c", code, "--package", path, "--backend", "golden", "--json", json_file]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (2, "", "run: interrupted: nothing was written\n")
    assert not json_file.exists()


def test_a_closed_pipe(path):
    argv = [sys.executable, ROOT / "host/run.py", "--package", path, "--backend", "golden", "--images", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 2 and err == "run: standard output was closed before the result was printed\n"


def test_a_disk_that_is_full(capsys, path, monkeypatch, tmp_path):
    """From the beginning, and from the moment on that the result is written: then it is printed all the same."""
    argv = ["--package", path, "--backend", "golden", "--images", 2, "--picture", tmp_path / "a.svg", "--json"]
    monkeypatch.setattr(os, "fsync", _full)
    code, out, err = run(capsys, *argv, tmp_path / "a.json")
    assert code == 2 and "No space left" in err and out == "" and names(tmp_path) == ["tiny.npz"]
    monkeypatch.undo()
    code, out, err = run(capsys, *argv, "/dev/full")
    assert code == 2 and "accuracy" in out and names(tmp_path) == ["a.svg", "tiny.npz"]
    assert "--json /dev/full cannot be written (No space left on device)" in err
    assert err.endswith(f"; written: {tmp_path / 'a.svg'}")


def _full(*_, **__):
    raise OSError(28, "No space left on device")


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def test_outputs_are_tried_before_anything_is_run(capsys, path, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "read_job", lambda *_: pytest.fail("nothing is to be read"))
    for argv in (["--json", "/proc/a.json"], ["--json", path], ["--picture", tmp_path / "no" / "a.svg"]):
        code, out, err = run(capsys, "--package", path, "--backend", "golden", *argv)
        assert (code, out) == (2, "") and argv[0] in err
    assert "would be written over" in run(capsys, "--package", path, "--json", path)[2]
    data = tmp_path / "photos.npz"
    data.write_bytes(b"pictures")
    for given in (data, f"photos={data}"):
        assert "would be written over" in run(capsys, "--package", path, "--data", given, "--json", data)[2]
    assert data.read_bytes() == b"pictures"


def test_devices_and_pipes_stay_what_they_are(path, tmp_path):
    """A JSON into a FIFO, a picture into `>(…)`, a link that is followed: as a shell's own redirection."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link.json").symlink_to("real.json")
    script = 'cat fifo > got.json & "$@" --json fifo --picture >(cat > got.svg); wait; "$@" --json link.json'
    argv = [sys.executable, ROOT / "host/run.py", "--package", path, "--backend", "golden", "--images", "2"]
    subprocess.run(["bash", "-c", script, "bash", *argv], cwd=tmp_path, check=True, capture_output=True)
    assert json.loads((tmp_path / "got.json").read_text())["images"] == 2
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "real.json").read_text())["images"] == 2
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    end = time.monotonic() + 10
    while not (tmp_path / "got.svg").read_text().endswith("</svg>\n") and time.monotonic() < end:
        time.sleep(0.02)  # nobody waits for `>(…)`
    assert (tmp_path / "got.svg").read_text().endswith("</svg>\n")


def test_images_are_numbered_through_batches(path, monkeypatch):
    monkeypatch.setattr(batches, "BATCH", 7)
    arguments = run_parser(command.__doc__).parse_args(["--package", path, "--images", "20"])
    found = batches.run_batches(Broken(lambda records: None), read_job(arguments), FixedPlan(budget.parse("none")))
    assert found.results.image.tolist() == list(range(20)) and found.seconds > 0
    assert found.steps == ((budget.parse("none"), 20),)


# ------------------------------------------------------------------------------------------------------------ backends
def test_auto_without_a_compiler_says_so_and_goes_on(capsys, path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    code, out, err = run(capsys, "--package", path, "--images", 3)
    assert code == 0 and "golden model" in out
    assert "no C++ compiler" in err and "install g++" in err
    code, out, err = run(capsys, "--package", path, "--images", 3, "--backend", "cosim")
    assert code == 2 and out == "" and "install g++" in err


def test_missing_is_told_from_broken(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendMissing):
        Cosim()


@pytest.mark.cosim
def test_a_compiler_that_fails_is_not_passed_over(capsys, path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    code, _, err = run(capsys, "--package", path, "--images", 3)
    assert code == 2 and "cannot be built" in err and "--backend golden" in err


@pytest.mark.cosim
@pytest.mark.parametrize("budget", ["none", "3k"])
def test_co_simulation_and_golden_model_agree(capsys, path, budget):
    argv = ["--package", path, "--budget", budget, "--images", 300, "--json", "-"]
    found = []
    for backend in (["--backend", "golden"], ["--backend", "auto", "--threads", 2]):
        code, out, err = run(capsys, *argv, *backend)
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    for key in ("accuracy", "flops", "cycles", "exits", "layers_run", "channels_run", "gates", "reasons"):
        assert found[0][key] == found[1][key]
    assert [item["backend"] for item in found] == ["golden", "cosim"]


def test_no_budget_is_the_largest_number():
    assert budget.limits(budget.parse("none"), None) == (NO_BUDGET, NO_BUDGET)
