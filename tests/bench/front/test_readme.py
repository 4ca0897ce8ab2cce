"""README's first table, and its commands as a newcomer types them.

tests/test_usage.py parses every command; here those run that need no data set, board, meter or trained network.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.front import beside
from bench.packages import fingerprint

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNING = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^python (host/\w+\.py .*?)(?:\s+#.*)?$", re.MULTILINE)
NEEDS = ("DIR", "mine.npz", "remote:", "serial:")  # data, a trained network, a board, a meter
TYPED = [command for command in COMMAND.findall(README + RUNNING) if not any(word in command for word in NEEDS)]
SCHEDULE = "300 74M\n0.5s 40M\n"


@pytest.mark.cosim
@pytest.mark.parametrize("command", TYPED)
def test_it_runs_as_written(command, tmp_path):
    (tmp_path / "day.txt").write_text(SCHEDULE)
    script, *arguments = shlex.split(command)
    typed = [sys.executable, str(ROOT / script), *arguments]
    done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in ((0, 1) if "doctor" in script else (0,)), done.stderr
    assert done.stdout.strip()


def test_most_commands_are_tried():
    assert len(TYPED) >= 9 and "host/run.py --budget 74M" in TYPED and any("sweep" in command for command in TYPED)


def test_it_is_short_and_leads_on():
    assert len(README.splitlines()) <= 185
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README):
        assert (ROOT / link).exists(), link


def test_the_map_names_every_page():
    known = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert len(pages) > 15 and not [name for name in pages if f"]({name})" not in known]


# ------------------------------------------------------------------------------------------------------- first table
def row(value, package=None):
    return {"value": value, "package": package, "n": 10_000}


def package_rows(name):
    """Rows of one package under two budgets and none."""
    sha256, found = fingerprint(name), {}
    for at, budget in (("9.0M", 9_000_000), ("74.0M", 74_000_000), ("50.0M", 50_000_000), ("none", None)):
        found |= {f"{name}.budget@{at}": row(budget, sha256)} if budget else {}
        found |= {f"{name}.accuracy@{at}": row(0.9, sha256), f"{name}.flops@{at}": row(8e6, sha256)}
        found[f"{name}.energy@{at}"] = row(0.05, sha256)
    return found


def test_the_first_table_has_budgets_and_the_static_network():
    found = package_rows("fashion-mnist") | {"controls.fashion-mnist.alike.accuracy": row(0.92),
                                             "controls.fashion-mnist.alike.flops": row(2.4e7),
                                             "peers.fashion-mnist.energy": row(0.15),
                                             "controls.fashion-mnist.larger_alike.accuracy": row(0.93),
                                             "controls.fashion-mnist.larger_alike.flops": row(4.3e7)}  # fmt: skip
    lines = beside.first_table(found)
    assert lines[2:7] == [
        "| Fashion-MNIST | 9.0M, hard | 90.00% | 8.0M | 0.050 mJ |",
        "| Fashion-MNIST | 74.0M, hard | 90.00% | 8.0M | 0.050 mJ |",
        "| Fashion-MNIST | none | 90.00% | 8.0M | 0.050 mJ |",
        "| Fashion-MNIST, *static*, trained alike, float | – | 92.00% | 24.0M | 0.150 mJ |",
        "| Fashion-MNIST, *static*, trained alike, float | – | 93.00% | 43.0M | – |",
    ]
    assert "without rows yet: CIFAR-10" in "\n".join(lines)


def test_rows_of_an_older_package_are_not_in_it():
    found = {name: {**one, "package": "000000000000"} for name, one in package_rows("fashion-mnist").items()}
    assert "no rows yet" in beside.first_table(found)[2]


def test_peers_are_told_with_their_machine():
    found = {f"peers.x.cosim.{key}": row(value) for key, value in (("accuracy", 0.9), ("labels_agree", 1.0))}
    found["peers.x.cosim.images_per_s.t1"] = row(1234.5) | {"host": {"cores": 2, "vector": "avx2"}}
    lines = beside.peers_table(found)
    assert lines[2] == "| x | co-simulation of the engine, int8 | 1,234 |  | 90.0% of 10000 | 100.0% |"
    assert "2 cores, avx2" in lines[-1] and "python -m bench peers" in beside.peers_table({})[0]
