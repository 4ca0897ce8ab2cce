"""Mutated instructions and programs under the sanitizers: a tenth of what `python -m hls.stress.fuzz` runs.

    pytest --cosim tests/hls/stress/test_fuzz.py

A case that failed stands in tests/hls/stress/fuzz_cases/ and is run again here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls import cosim, isa
from hls.record import Start
from hls.stress import driver, fuzz, mutations
from hls.stress.driver import Base, Case, Crash, Driver
from hls.stress.random_programs import random_program

SIDE_BY_SIDE = ["-D__SYNTHESIS__", "-DDDI_QUEUE_SCALE=4096"]
FORMS = [(["-DDDI_CHIP"], "address", 20), (SIDE_BY_SIDE, "none", 0)]  # flags, sanitizer, whole programs
KEPT = sorted((Path(__file__).parent / "fuzz_cases").glob("*.npz"))


def random_bases(count=20):
    return [Base(*random_program(np.random.default_rng(seed))) for seed in range(count)]


@pytest.mark.cosim
def test_a_hundred_thousand_words_give_the_statuses_of_the_contract():
    failures, statuses, _ = fuzz.run(100_000, seed=1, jobs=1)
    assert not failures, failures[0][1]
    assert set(statuses) >= {*range(isa.STATUS_OK, isa.STATUS_NO_RESULT + 1), isa.STATUS_BAD_START}


@pytest.mark.cosim
@pytest.mark.parametrize(("flags", "sanitizer", "programs"), FORMS)
def test_the_chip_s_form_checks_the_same(flags, sanitizer, programs):
    bases = random_bases()
    failures, statuses, _ = fuzz.run(20_000, 2, 1, programs, flags=flags, bases=bases, sanitizer=sanitizer)
    assert not failures, failures[0][1]
    assert set(statuses) >= set(fuzz.CHECKED)


@pytest.mark.cosim
def test_cases_that_once_failed():
    """There may be none: each is mended before it is committed."""
    for path in KEPT:
        case, bases = fuzz.load(path)
        assert fuzz.disagreement(case, bases, Driver(bases).run([case])[0]) is None, path.name


@pytest.mark.cosim
@pytest.mark.parametrize(("field", "name"), [("weights", "weight_bytes"), ("table", "table_words")])
def test_a_read_outside_a_buffer_is_caught(field, name):
    """Start promises more than there is, and instructions use it: the sanitizer must see the engine believe them."""
    bases = random_bases(30)
    cases = []
    for number, base in enumerate(bases):
        case = Case(number, base.start)
        size = driver.scalars(case, bases)[name]
        case.scalars[name] = size + (1 << 24)
        for pc, row in enumerate(base.program):
            names = isa.FIELDS[int(row[0])]
            if field in names:
                case.patches[pc] = row.copy()
                case.patches[pc][1 + names.index(field)] = size + -size % isa.WEIGHT_ALIGN
        cases.append(case)
    with pytest.raises(Crash, match="heap-buffer-overflow"):
        Driver(bases).run(cases)


@pytest.mark.cosim
def test_a_program_s_end_is_the_end_of_its_buffer():
    bases = random_bases(1)
    start = bases[0].start
    start = Start(start.gates, start.classes, map_words=start.map_words)
    with pytest.raises(Crash, match="heap-buffer-overflow"):
        Driver(bases).run([Case(0, start, instructions=1, scalars={"instructions": 2})])


@pytest.mark.cosim
def test_a_wrong_status_is_noticed(monkeypatch):
    """An engine whose header has two statuses exchanged."""
    right, wrong = b"kStatusBadAddress = 4;", b"kStatusBadAddress = 5;"
    sources = cosim.sources()
    assert right in sources["isa.hpp"]
    broken = {**sources, "isa.hpp": sources["isa.hpp"].replace(right, wrong)}
    monkeypatch.setattr(cosim, "sources", lambda: broken)
    failures, _, _ = fuzz.run(4_000, seed=3, jobs=1, programs=0, sanitizer="none", bases=random_bases())
    assert failures
    assert {reason.split(" at ")[0] for _, reason in failures} == {f"status {isa.STATUS_BAD_OVERLAP}"}


@pytest.mark.cosim
def test_a_wrong_result_is_noticed(monkeypatch):
    """An engine that rounds its requantisation otherwise."""
    sources = cosim.sources()
    broken = {name: text.replace(b">> shift) + 1) >> 1", b">> shift) + 2) >> 1") for name, text in sources.items()}
    assert broken != sources
    monkeypatch.setattr(cosim, "sources", lambda: broken)
    failures, _, _ = fuzz.run(0, seed=4, jobs=1, programs=40, sanitizer="none", bases=random_bases())
    assert any("the golden model says" in reason for _, reason in failures)


def test_a_saved_case_is_the_case(tmp_path):
    bases, rng = random_bases(), np.random.default_rng(7)
    for make in (mutations.make_case, mutations.make_program):
        case = make(bases, rng)
        loaded, single = fuzz.load(fuzz.save(case, bases, "a reason", tmp_path))
        assert np.array_equal(driver.program(loaded, single), driver.program(case, bases))
        assert driver.scalars(loaded, single) == driver.scalars(case, bases)
        assert loaded.path == case.path
        if case.path:
            assert fuzz.expectation(loaded, single) == fuzz.expectation(case, bases)


def test_a_case_for_another_contract_is_refused(tmp_path, monkeypatch):
    bases = random_bases(1)
    path = fuzz.save(Case(0, bases[0].start), bases, "a reason", tmp_path)
    monkeypatch.setattr(isa, "HASH", "another")
    with pytest.raises(ValueError, match="another: make the case anew"):
        fuzz.load(path)


@pytest.mark.parametrize("failing", [0, 2])
def test_the_command(failing, tmp_path, monkeypatch, capsys):
    bases = random_bases(1)
    failures = [(Case(0, replace(bases[0].start, threshold=number)), "broken") for number in range(failing)]
    monkeypatch.setattr(fuzz, "run", lambda *_, **__: (failures, {isa.STATUS_OK: 3}, bases))
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    assert fuzz.main(["--words", "48"]) == bool(failing)
    assert f"48 words, seed 0: {failing} failures" in capsys.readouterr().out
