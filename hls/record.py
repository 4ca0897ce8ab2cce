"""Result records: what the engine writes for an image, as columns with names and units, and failures in words."""

from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.program import STATUS_TEXT

NO_BUDGET = 2**63 - 1

_INDEX = {name: index for index, name in enumerate(isa.RECORD)}
_NEW_EXPORT = "the package does not suit this engine, export it again (python -m export …)"
_REMEDY = {
    isa.STATUS_BUDGET_TOO_SMALL: "give at least the first exit's cost (the package's `exits` list it)",
    isa.STATUS_NO_RESULT: "end the program with EXIT, or put a TAP before its END",
    isa.STATUS_BUDGET_EXCEEDED: "its TAP must say what hls.cost.classifier_cost says, export it again",
    isa.STATUS_BAD_START: "see docs/engine.md for the ranges of the start parameters",
    isa.STATUS_NOT_RUN: "look at the first image that failed",
}


@dataclass(frozen=True)
class Start:
    """Parameters of one start; thresholds are · 2^16 (nats for ENTROPY), budgets hold for each image."""

    gates: int
    classes: int
    budget_flops: int = NO_BUDGET
    budget_cycles: int = NO_BUDGET
    rule: int = isa.RULE_NONE
    threshold: int = 0
    target_class: int = 0
    map_words: int = 0  # of the DDR's map memory, 64 bytes each


@dataclass(frozen=True)
class Results:
    """One entry per image; `trace` (N, gates) and `logits` (N, classes) are int32, counters int64."""

    status: np.ndarray
    image: np.ndarray
    pc: np.ndarray
    exit: np.ndarray
    label: np.ndarray
    reason: np.ndarray
    flops: np.ndarray  # FLOPs
    cycles: np.ndarray  # of the modelled schedule
    layers_run: np.ndarray
    channels_run: np.ndarray
    weight_bytes: np.ndarray
    instructions: np.ndarray
    confidence: np.ndarray  # 0 … 1
    entropy: np.ndarray  # nats
    trace: np.ndarray  # active channels, or isa.TRACE_NOT_REACHED or TRACE_SKIPPED
    logits: np.ndarray


def words(gates, classes):
    """Words of one record."""
    return isa.RECORD_HEADER + gates + classes


def check_start(start, instructions, images):
    """ValueError naming the start parameter outside its range (BAD_START)."""
    target = start.target_class if start.rule == isa.RULE_CLASS else 0
    for name, value, low, high in (
        ("instructions", instructions, 1, isa.MAX_INSTRUCTIONS),
        ("map_words", start.map_words, 0, isa.DDR_ADDRESS - 1),
        ("gates", start.gates, 0, isa.MAX_GATES),
        ("classes", start.classes, 1, isa.MAX_CLASSES),
        ("images", images, 1, 2**31 - 1),
        ("rule", start.rule, 0, max(isa.RULES.values())),
        ("target_class", target, 0, start.classes - 1),
        ("budget_flops", start.budget_flops, 0, NO_BUDGET),
        ("budget_cycles", start.budget_cycles, 0, NO_BUDGET),
    ):
        if not low <= value <= high:
            raise ValueError(f"BAD_START: {name} is {value}, expected {low} to {high}")


def not_run(index, start):
    """The record (words,) int32 of an image that an earlier one's failure left out."""
    record = np.zeros(words(start.gates, start.classes), np.int32)
    record[isa.RECORD_HEADER :][: start.gates] = -1
    for name in ("pc", "exit", "label"):
        record[_INDEX[name]] = -1
    record[_INDEX["status"]], record[_INDEX["image"]] = isa.STATUS_NOT_RUN, index
    return record


def decode(records, start):
    """Results of (N, words) int32 records written under `start`. ValueError if their width is another."""
    records = np.asarray(records)
    expected = words(start.gates, start.classes)
    if records.ndim != 2 or records.shape[1] != expected or records.dtype != np.int32:
        raise ValueError(f"records are {records.dtype} {records.shape}, expected int32 (images, {expected})")

    def column(name):
        return records[:, _INDEX[name]]

    def wide(name):
        low = column(f"{name}_low").astype(np.int64) & 0xFFFFFFFF
        return low | column(f"{name}_high").astype(np.int64) << 32

    plain = ("status", "image", "pc", "exit", "label", "reason", "layers_run", "channels_run", "instructions")
    return Results(
        **{name: column(name).astype(np.int64) for name in plain},
        flops=wide("flops"),
        cycles=wide("cycles"),
        weight_bytes=column("weight_bytes").astype(np.int64) & 0xFFFFFFFF,
        confidence=column("confidence") / 65536,
        entropy=column("entropy") / 65536,
        trace=records[:, isa.RECORD_HEADER : isa.RECORD_HEADER + start.gates].copy(),
        logits=records[:, isa.RECORD_HEADER + start.gates :].copy(),
    )


def explain(status, pc, image):
    """A sentence for an image that failed: what happened, where, and what to do."""
    name = {value: key for key, value in isa.STATUS.items()}.get(status)
    if name is None:
        return f"image {image}: unknown status {status} at instruction {pc}; the engine and its driver do not match"
    if status == isa.STATUS_OK:
        return f"image {image}: fine"
    where = "" if status in (isa.STATUS_NOT_RUN, isa.STATUS_BAD_START) else f" at instruction {pc}"
    return f"image {image}: {name}{where}: {STATUS_TEXT[status]}; {_REMEDY.get(status, _NEW_EXPORT)}"


def top(logits, k):
    """The k classes with the largest logits, largest first, the first of equals: (N, classes) → (N, k)."""
    return np.argsort(-np.asarray(logits, np.int64), axis=1, kind="stable")[:, :k]
