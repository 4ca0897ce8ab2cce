"""Queues are FIFOs: a push and a pop a cycle, nothing to wait for, and what they show is carried in registers."""

import pytest

from hls.bounds.ir import BoundsError
from tests.hls.bounds.kernels import needs_clang, unrolled, with_queues

pytestmark = needs_clang

PASS = "if (!queue.Empty() && !lanes[0].Full()) lanes[0].Push(queue.Pop());"
CLAIM = "#pragma HLS dependence variable = to type = inter direction = RAW dependent = false\n"


def used(found):
    return {use.path: (use.reads, use.writes, use.ii, use.together) for use in found.uses}


def test_a_push_and_a_pop_a_cycle_hold(tmp_path):
    found = with_queues(tmp_path, PASS)
    assert used(found) == {"queue": (1, 0, 1, 1), "lanes[0]": (0, 1, 1, 1)}
    assert (found.ii, found.open) == (1, ())
    assert 0 < found.period_ns < 3  # from empty and full through a LUT to the FIFO


def test_both_sides_of_one_queue_are_ports_of_their_own(tmp_path):
    found = with_queues(tmp_path, "const int32_t old = queue.Pop(); queue.Push(old + i);")
    assert used(found) == {"queue": (1, 1, 1, 1)} and found.ii == 1


def test_queues_of_an_array_are_apart(tmp_path):
    found = with_queues(tmp_path, unrolled("Lanes", 3, "lanes[k].Push(i + k);"))
    assert used(found) == {f"lanes[{k}]": (0, 1, 1, 1) for k in range(3)}


@pytest.mark.parametrize("body, pops, pushes", [
    ("queue.Push(i); queue.Push(n);", 0, 2),
    ("to[i] = queue.Pop() - 3 * queue.Pop();", 2, 0),
    ("if (i & 4) queue.Push(i); if (i & 8) queue.Push(n);", 0, 2),
])  # fmt: skip
def test_two_on_a_path_take_two_cycles(body, pops, pushes, tmp_path):
    found = with_queues(tmp_path, body)
    assert used(found)["queue"] == (pops, pushes, 2, 2) and found.gap == 1


def test_two_on_different_sides_of_a_branch_take_turns(tmp_path):
    body = "if (i & 4) { queue.Push(i); } else { queue.Push(n * i); lanes[0].Push(n); }"
    assert used(with_queues(tmp_path, body))["queue"] == (0, 1, 1, 2)


def test_what_decides_a_pop_is_carried(tmp_path):
    """What a queue gave decides, by a product, whether the next item is taken."""
    short, long = (with_queues(tmp_path, body) for body in (PASS, "if (queue.Pop() * n * n > i) queue.Pop();"))
    assert long.period_ns > short.period_ns + 5 and any(step[0] == "mul" for step in long.way)


def test_a_queue_that_is_chosen_at_run_time_is_an_error(tmp_path):
    with pytest.raises(BoundsError, match=r"a queue is chosen while the loop runs at \S*engine.cpp:\d+: unroll"):
        with_queues(tmp_path, "lanes[i % 3].Push(i);")


def test_a_claim_of_a_parameter_is_one_of_the_port_that_it_is_handed(tmp_path):
    copy = "to[2 * i + (n & 1)] = to[i & n] + 1;"
    claimed, fault = with_queues(tmp_path, CLAIM + copy), with_queues(tmp_path, copy)
    assert (claimed.open, claimed.claims, claimed.ii) == ((), ("out",), 1)
    assert fault.open == ("out",) and fault.ii > 1
    other = with_queues(tmp_path, CLAIM.replace("= to", "= n") + copy)
    assert other.open == ("out",)
