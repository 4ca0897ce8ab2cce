"""Rows of the lockstep: what stands for a difference, and what is beside what."""

from types import SimpleNamespace

from bench import documents
from bench.circuits import lockstep
from bench.rows import Rows
from bitstreams.lockstep.compare import Result

SAME = Result(cycles=90, model_cycles=90, waits=4, differing_cycles=0, differing_words=0, first=-1, what="")
MAPPED = {"lut": 10, "ff": 20, "dsp": 3, "bram18": 4, "period_ns": 6.5, "way": "a, 2 LUT6, into FDRE behind b"}


def test_a_cycle_or_a_word_that_differs_is_counted_and_so_is_a_late_end():
    count, layer = lockstep.Count(), SimpleNamespace(cycles=90)
    count.add("prompt", layer, SAME)
    assert (count.layers, count.cycles, count.differing_cycles, count.gap, count.over_plan) == (1, 90, 0, 0, 0)
    count.add("prompt", layer, Result(93, 91, 0, 7, 2, 5, "late"))
    count.add("late", layer, Result(93, 93, 0, 0, 0, -1, ""))
    assert (count.differing_cycles, count.differing_words, count.gap, count.over_plan) == (7, 2, 2, 1)


def test_the_table_has_the_estimate_beside_what_yosys_made():
    rows = Rows("lockstep", "python -m bench lockstep")
    rows.add("lockstep.layers", 120, "layers", "simulated", n=120)
    rows.add("lockstep.faults_seen", 15, "faults", "count", n=15, target=15)
    lockstep.add_mapped(rows, MAPPED)
    found = {row["name"]: row for row in rows.rows}
    assert found["lockstep.dsp.modelled"]["value"] >= 192 and found["lockstep.period_ns"]["value"] == 6.5
    table = documents.lockstep_table(found)
    assert "| random layers | 120 | simulated | |" in table
    assert "| seeded faults that were seen | 15 of 15 | count | |" in table
    assert f"| DSP | 3 | estimated | {found['lockstep.dsp.modelled']['value']:,} |" in table
    text = " ".join(" ".join(table).split())
    assert "- The longest way: a, 2 LUT6, into FDRE behind b. It allows 154 MHz; the shipped engine's clock is" in text


def test_without_rows_there_is_no_table():
    assert documents.lockstep_table({}) == ["No rows yet: `python -m bench lockstep` makes them."]
    rows = {"lockstep.layers": {"value": 3, "kind": "simulated"}}
    assert documents.lockstep_table(rows)[-1] == "What yosys makes of the RTL has no rows yet."
