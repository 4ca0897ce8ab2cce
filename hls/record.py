"""Result records: what the engine writes for an image, as columns with names and units, and failures in words."""

from dataclasses import dataclass

import numpy as np

from hls import isa, pool
from hls.isa import Start  # noqa: F401 (for those who read records)
from hls.pool import NO_BUDGET
from hls.program import STATUS_TEXT

SIZES = ("instructions", "weight_bytes", "table_words", "images_count", "image_bytes")  # scalars that are no Start's

MEASURED = ("stalls", "array_busy", "port_idle")  # an engine's own counters, in which two need not agree

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
    allowed_flops: np.ndarray  # what the image might spend: its budget, or what the pool had left
    allowed_cycles: np.ndarray
    layers_run: np.ndarray
    channels_run: np.ndarray
    weight_bytes: np.ndarray
    instructions: np.ndarray
    stalls: np.ndarray  # cycles beyond the model's; this and the next two as an engine counted them
    array_busy: np.ndarray  # cycles
    port_idle: np.ndarray  # accesses
    stop_pc: np.ndarray  # of the instruction that stalls stopped the image at, or -1
    confidence: np.ndarray  # 0 … 1
    entropy: np.ndarray  # nats
    trace: np.ndarray  # active channels, or isa.TRACE_NOT_REACHED or TRACE_SKIPPED
    logits: np.ndarray


def words(gates, classes):
    """Words of one record: its header, trace and logits, and one more where the port's last word needs it."""
    return isa.RECORD_HEADER + gates + classes + (gates + classes) % 2


def scalars(start, program, weights, tables, images):
    """Every scalar argument of the engine by its name in the contract: the sizes of a batch's arrays, and Start's."""
    sizes = len(program), weights.size, tables.size, len(images), images[:1].size
    return {**dict(zip(SIZES, sizes)), **vars(start)}


def check_start(values):
    """ValueError (BAD_START) naming the first of the scalar arguments `values` that is outside its range."""
    ranges = dict(isa.RANGES)
    if values["rule"] == isa.RULE_CLASS:
        ranges["target_class"] = 0, values["classes"] - 1
    if values["pool"] > 1:
        for unit in ("flops", "cycles"):
            if values[f"budget_{unit}"] != NO_BUDGET:
                ranges[f"budget_{unit}"] = values[f"floor_{unit}"], pool.MOST - 1
    for name, (low, high) in ranges.items():
        if not low <= values[name] <= high:
            raise ValueError(f"BAD_START: {name} is {values[name]}, expected {low} to {high}")


def not_run(index, start):
    """The record (words,) int32 of an image that an earlier one's failure left out."""
    record = np.zeros(words(start.gates, start.classes), np.int32)
    record[isa.RECORD_HEADER :][: start.gates] = -1
    for name in ("pc", "exit", "label", "stop_pc"):
        record[_INDEX[name]] = -1
    record[_INDEX["status"]], record[_INDEX["image"]] = isa.STATUS_NOT_RUN, index
    return record


def agreed(records):
    """`records` (N, words) without what was measured: the part in which engines and models are equal."""
    found = np.array(records)
    found[:, [_INDEX[name] for name in MEASURED]] = 0
    return found


def stops(records):
    """Per image the pc at which stalls stopped it, -1 for none: what the golden model needs to replay it."""
    return np.asarray(records)[:, _INDEX["stop_pc"]]


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
        **{name: column(name).astype(np.int64) for name in (*plain, "stop_pc")},
        flops=wide("flops"),
        cycles=wide("cycles"),
        allowed_flops=wide("allowed_flops"),
        allowed_cycles=wide("allowed_cycles"),
        **{name: column(name).astype(np.int64) & 0xFFFFFFFF for name in ("weight_bytes", *MEASURED)},
        confidence=column("confidence") / 65536,
        entropy=column("entropy") / 65536,
        trace=records[:, isa.RECORD_HEADER : isa.RECORD_HEADER + start.gates].copy(),
        logits=records[:, isa.RECORD_HEADER + start.gates :][:, : start.classes].copy(),
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
