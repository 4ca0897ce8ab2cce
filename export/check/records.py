"""Records of the golden model against those of an engine: the first word that differs, and what it is called.

found = first_difference(expected, records, start)      # Difference or None
"""

from typing import NamedTuple

import numpy as np

from hls import isa


class Difference(NamedTuple):
    """One word of one image's record."""

    image: int
    word: int  # its place in the record
    name: str
    expected: int
    found: int
    images: int  # how many differ in any word

    def __str__(self):
        where = f"image {self.image}, word {self.word} ({self.name})"
        return f"{where}: {self.expected} expected, {self.found} found; {self.images} images differ"


def first_difference(expected, records, start):
    """The Difference of (N, words) int32 records written under `start`, or None where all are equal."""
    differ = np.asarray(expected) != np.asarray(records)
    if not differ.any():
        return None
    image, word = (int(index) for index in np.argwhere(differ)[0])
    values = int(expected[image, word]), int(records[image, word])
    return Difference(image, word, name_of(word, start), *values, int(differ.any(1).sum()))


def name_of(word, start):
    """What a word of a record is."""
    if word < isa.RECORD_HEADER:
        return list(isa.RECORD)[word]
    word -= isa.RECORD_HEADER
    return f"trace of gate {word}" if word < start.gates else f"logit {word - start.gates}"
