"""Mutated instructions under the address and undefined-behaviour sanitizers; every check's status is compared.

    python -m hls.stress.fuzz --words 1000000      # 16 words an instruction; a bar shows how far it is

Each case puts one mutated instruction of a real program where the engine comes to it: behind GATE_CHANNELs that build
masks, and a GATE_LAYER that jumps there or a TAP whose classifier it is. The engine must give the status and pc that
hls.program.validate says, and touch nothing outside its buffers. Whole mutated programs are compared with the golden
model, record by record. What fails goes to build/fuzz/; put it under tests/hls/stress/fuzz_cases/ to keep it as a
test.
"""

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np

from hls import cosim, golden, isa, package, record
from hls.command import outputs
from hls.command.arguments import THREADS, Parser, Whole
from hls.command.entry import guarded
from hls.pool import Pool
from hls.program import decode, validate
from hls.stress.driver import Base, Case, Crash, Driver, program, scalars
from hls.stress.mutations import limits_of, make_case, make_program
from hls.stress.random_programs import random_program

CHECKED = range(isa.STATUS_BAD_OPCODE, isa.STATUS_BAD_TARGET + 1)
BATCH = 2000
FOLDER = cosim.BUILD / "fuzz"


def is_bad_start(case, bases):
    """Does hls.record refuse the start parameters?"""
    values = scalars(case, bases)
    try:
        record.check_start(values)
        start = replace(case.start, **{each.name: values[each.name] for each in fields(case.start)})
        Pool(start, no_charges(start))
    except ValueError:
        return True
    return False


def no_charges(start):
    """The pool's history that every case starts with."""
    return np.zeros((start.pool - 1, 2), np.int64)


def expectation(case, bases):
    """(status, pc) of the first instruction on the path whose check fails, or OK and the last one's."""
    limits, words, built = limits_of(case, bases), program(case, bases), [0] * isa.MASKS
    for pc, in_classifier in case.path:
        status = validate(words[pc], pc, limits, built, in_classifier)
        if status != isa.STATUS_OK:
            return status, pc
        row = decode(words[pc])
        if row["opcode"] == isa.GATE_CHANNEL:
            built[row["mask"]] = row["channels"]
    return isa.STATUS_OK, case.path[-1][0]


def disagreement(case, bases, outcome):
    """What is wrong with the outcome of a case, or None."""
    returned, records = outcome
    refused = is_bad_start(case, bases)
    if returned != (isa.STATUS_BAD_START if refused else isa.STATUS_OK) or (records is None) != refused:
        wrote = "nothing" if records is None else "records"
        return f"returned {returned} and wrote {wrote}, expected {'BAD_START and nothing' if refused else 'records'}"
    if refused:
        return None
    if not case.path:
        return _differs_from_golden(case, bases, records)
    (status, pc), found = expectation(case, bases), int(records[0, isa.RECORD.index("status")])
    at = int(records[0, isa.RECORD.index("pc")])
    if status != isa.STATUS_OK:
        return None if (found, at) == (status, pc) else f"status {found} at {at}, expected {status} at {pc}"
    return f"status {found} at {at}, expected it to pass its checks" if at == pc and found in CHECKED else None


def _differs_from_golden(case, bases, records):
    base = bases[case.base]
    data = program(case, bases), base.weights, base.tables, base.images[: case.images]
    expected = golden.run(*data, case.start, no_charges(case.start))
    records = record.agreed(records)
    if np.array_equal(expected, records):
        return None
    image, word = (int(at) for at in np.argwhere(expected != records)[0])
    found, wanted = records[image, word], expected[image, word]
    return f"image {image}: record word {word} is {found}, the golden model says {wanted}"


def real_bases(seed, randoms=60):
    """Packages that fit this contract, and random programs; a line on standard error for a package that does not."""
    bases = []
    for path in sorted((cosim.ROOT / "packages").glob("*.npz")):
        try:
            bases.append(_package_base(package.read(path), seed))
        except package.PackageError as error:
            print(f"fuzz: without {path.name}: {error}", file=sys.stderr)
    return bases + [Base(*random_program(np.random.default_rng([seed, number]))) for number in range(randoms)]


def _package_base(found, seed):
    size = found.meta["input"]
    shape = 1, size["height"], size["width"], size["channels"]
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Base(found.program, found.weights, found.tables, images, found.start())


def save(case, bases, reason, folder=None):
    """Write a failing case, whole, as .npz; hls.stress.fuzz.load reads it."""
    folder = FOLDER if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    base, words = bases[case.base], program(case, bases)
    note = {"isa": isa.HASH, "reason": reason, "start": vars(case.start), "scalars": case.scalars, "path": case.path}
    arrays = {"program": words, "weights": base.weights, "tables": base.tables, "images": base.images[: case.images]}
    path = folder / f"case-{abs(hash((words.tobytes(), reason))) % 2**32:08x}.npz"
    np.savez_compressed(path, note=json.dumps(note), **arrays)
    return path


def load(path):
    """(case, bases) of a file that `save` wrote. ValueError when it was made for another contract."""
    with np.load(path, allow_pickle=False) as file:
        note, arrays = (
            json.loads(str(file["note"])),
            [file[name] for name in ("program", "weights", "tables", "images")],
        )
    if note["isa"] != isa.HASH:
        raise ValueError(f"{path} is for contract {note['isa']}, this is {isa.HASH}: make the case anew or delete it")
    start = record.Start(**note["start"])
    base = Base(*arrays, start)
    path = tuple(map(tuple, note["path"]))
    return Case(0, start, scalars=note["scalars"], images=len(base.images), path=path), [base]


def fuzz(cases, bases, driver, report):
    """(failures [(case, reason)], how often each status came); a crash is a failure, and what follows still runs."""
    failures, statuses = [], Counter()
    while cases:
        try:
            outcomes, done = driver.run(cases), len(cases)
        except Crash as crash:
            failures.append((cases[crash.case], str(crash)))
            outcomes, done = crash.outcomes, crash.case + 1
        for case, outcome in zip(cases, outcomes):
            statuses[isa.STATUS_BAD_START if outcome[1] is None else int(outcome[1][0, 0])] += 1
            reason = disagreement(case, bases, outcome)
            if reason:
                failures.append((case, reason))
        report(done)
        cases = cases[done:]
    return failures, statuses


def run(words, seed, jobs, programs=None, flags=(), bases=None, sanitizer="address"):
    """(failures, statuses, bases) of `words` words in mutated instructions, and of whole programs beside them.

    One program in 1,000 words unless `programs` says otherwise. flags: added to the engine's build. bases: to mutate.
    """
    bases, total = real_bases(seed) if bases is None else bases, words // isa.INSTRUCTION_WORDS
    programs = words // 1000 if programs is None else programs
    driver, report = Driver(bases, sanitizer, flags), Progress(total + programs)

    def batch(item):
        number, (make, count) = item
        rng = np.random.default_rng([seed, number])
        return fuzz([make(bases, rng) for _ in range(count)], bases, driver, report)

    plan = [(make_case, min(BATCH, total - at)) for at in range(0, total, BATCH)]
    plan += [(make_program, min(BATCH // 20, programs - at)) for at in range(0, programs, BATCH // 20)]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(batch, enumerate(plan)))
    print(file=sys.stderr)
    return [each for failures, _ in found for each in failures], sum((each for _, each in found), Counter()), bases


class Progress:
    """A bar on standard error."""

    def __init__(self, total):
        self.total, self.done, self.started = max(1, total), 0, time.monotonic()

    def __call__(self, count):
        self.done += count
        share = self.done / self.total
        seconds = time.monotonic() - self.started
        print(f"\r[{'#' * int(30 * share):30}] {share:4.0%} {seconds:4.0f} s", end="", file=sys.stderr, flush=True)


def main(argv=None):
    """Exit code 0, 1 when a case failed, or 2 for bad input."""
    parser = Parser(prog="python -m hls.stress.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--words", type=Whole(isa.INSTRUCTION_WORDS), default=1_000_000, help="mutated words (default: %(default)s)"
    )
    parser.add_argument("--seed", type=Whole(0), default=0, help="of the mutations (default: %(default)s)")
    parser.add_argument("--jobs", type=THREADS, default=os.cpu_count(), help="processes (default: %(default)s)")
    parser.add_argument(
        "--define", action="append", default=[], metavar="MACRO=1", help="a macro of the engine's build"
    )
    options = parser.parse_args(argv)
    return guarded("fuzz", lambda: _fuzz(options), "interrupted: no case was kept")


def _fuzz(options):
    outputs.made(FOLDER)
    flags = [f"-D{each}" for each in options.define]
    failures, statuses, bases = run(options.words, options.seed, options.jobs, flags=flags)
    for case, reason in failures:
        print(f"{save(case, bases, reason)}: {reason}")
    names = {value: name for name, value in isa.STATUS.items()}
    print(", ".join(f"{names[status]} {count}" for status, count in sorted(statuses.items())))
    print(f"{options.words} words, seed {options.seed}: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
