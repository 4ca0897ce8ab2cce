"""Totals of gates in a run's report, by hand: what could run, what ran, and what a class exit's gate has no part in."""

from dataclasses import replace

import numpy as np
import pytest

from hls import isa
from hls.program import encode
from host.views import report
from tests.host.views.test_picture import make_run

CHANNELS = (3, 5, 0)  # of three gates; the last is a class exit's
SKIPPED, BEYOND = isa.TRACE_SKIPPED, isa.TRACE_NOT_REACHED
TRACE = [[3, 5, 0], [0, 2, 0], [SKIPPED, 4, SKIPPED], [SKIPPED, BEYOND, BEYOND]]  # of four images


@pytest.fixture(scope="module")
def summary():
    run, _ = make_run(count=4)
    gates = [{"block": number, "stage": number // 2, "channels": channels} for number, channels in enumerate(CHANNELS)]
    code = [
        encode(isa.GATE_LAYER, input=0, threshold=0, target=3, gate=number, channels=channels)
        for number, channels in enumerate(CHANNELS)
    ]
    package = replace(run.package, program=np.stack(code), meta={**run.package.meta, "gates": gates})
    trace = np.array(TRACE, np.int32)
    counted = {"layers_run": np.array([3, 3, 1, 0]), "channels_run": np.array([8, 2, 4, 0])}
    return report.summarize(replace(run, package=package, results=replace(run.results, trace=trace, **counted)))


def test_blocks_and_channels_that_could_run(summary):
    assert summary["layers_run"]["total"] == 2 and summary["channels_run"]["total"] == 8


def test_blocks_that_ran_are_those_with_a_channel(summary):
    """Of what the engine counts as let run, those whose trace is 0 are taken off."""
    assert summary["layers_run"] == {"mean": (2 + 1 + 1 + 0) / 4, "min": 0, "max": 2, "total": 2}
    assert summary["channels_run"] == {"mean": 3.5, "min": 0, "max": 8, "total": 8}


def test_each_gate_by_itself(summary):
    first, second = summary["gates"]
    shares = ("run", "empty", "skipped", "not_reached")
    assert [first[name] for name in shares] == [0.25, 0.25, 0.5, 0]
    assert [second[name] for name in shares] == [0.75, 0, 0, 0.25]
    assert (first["channels_mean"], second["channels_mean"]) == (3, 11 / 3)
    assert [(gate["block"], gate["stage"], gate["channels"]) for gate in summary["gates"]] == [(0, 0, 3), (1, 0, 5)]
