"""A million mutated instruction words against the engine under the sanitizers, each status compared with the checks'.

python -m bench fuzz
"""

from hls.stress import fuzz

WORDS, SEED = 1_000_000, 0


def run(rows, folders, options):
    """Add fuzz.words and fuzz.failures: crashes, accesses outside buffers, and statuses other than the validator's."""
    failures, statuses, _ = fuzz.run(WORDS, SEED, options.threads)
    rows.add("fuzz.words", WORDS, "words", "measured", n=sum(statuses.values()))
    rows.add("fuzz.failures", len(failures), "failures", "measured", n=sum(statuses.values()))
