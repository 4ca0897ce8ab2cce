"""The golden model: what the engine computes, to the bit, in numpy and for reading beside docs/engine.md.

    records = run(program, weights, tables, images, Start(gates=…, classes=…))  # (N, words) int32

Maps are handled as (channels, height, width) int64 arrays; convolutions multiply in float64, which is exact here, for
every accumulator of a convolution is under 2^31.
"""

from types import SimpleNamespace

import numpy as np

from hls import isa, record
from hls.cost import Cost, instruction_cost
from hls.golden.maps import clamp8, requantize, requantize_sums, sat16, to_pixels, to_words
from hls.pool import NO_BUDGET, Pool, fresh
from hls.program import Limits, decode, validate
from hls.shapes import conv_row, filter_bytes, halo_rows, output_size, row_bytes, tiles

_SIGMOID, _TANH = np.array(isa.SIGMOID_TABLE, np.int64), np.array(isa.TANH_TABLE, np.int64)
_NO_RESULT = {"exit": -1, "label": -1, "confidence": 0, "entropy": 0}
# The masks that an instruction takes, each with the field that says of how many channels.
_MASKED = {isa.CONV: (("in_mask", "in_channels"), ("out_mask", "out_channels")), isa.MOVE: (("mask", "channels"),)}
_EXP, _LOG = np.array(isa.EXP_TABLE, np.int64), isa.LOG_TABLE


class _Failed(Exception):
    """An image that cannot go on: (status, pc)."""


def run(program, weights, tables, images, start, history=None, stops=None):
    """Records (N, words) int32 of `images` (N, …) uint8, each run under `start`.

    `program` (n, INSTRUCTION_WORDS) int32, `weights` (bytes,) int8, `tables` (words,) int32. `history`: of the pool
    (hls/pool.py), brought up to date; a fresh one without. `stops`: per image the pc at which an engine stopped it for
    lost time (record.stops), -1 for none. ValueError for start parameters outside their ranges; a bad program shows in
    the records' status.
    """
    images = np.asarray(images, np.uint8).reshape(len(images), -1)
    record.check_start(record.scalars(start, program, weights, tables, images))
    history = fresh(start) if history is None else history
    pool = Pool(start, history)
    sizes = len(program), len(weights), len(tables), images.shape[1]
    limits = Limits(*sizes, start.gates, start.classes, start.map_words)
    engine = Engine(program, weights, tables, start, limits)
    records, stopped = [], False
    for index, image in enumerate(images):
        if stopped:
            records.append(record.not_run(index, start))
            continue
        late = -1 if stops is None else int(stops[index])
        records.append(engine.run_image(index, image, pool.allowed, late))
        pool.charge(engine.spent.flops, engine.spent.cycles)
        stopped = records[-1][0] != isa.STATUS_OK
    history[:] = pool.history()
    return np.stack(records)


class Engine:
    """The memories and the state of the image that runs."""

    def __init__(self, program, weights, tables, start, limits):
        self.program, self.limits, self.start = program, limits, start
        self.weights = np.asarray(weights, np.int8)
        self.tables = np.asarray(tables, np.int32).astype(np.int64)
        self.tiles = np.zeros((isa.TILE_WORDS, isa.TILE**2), np.uint8)
        self.maps = np.zeros((start.map_words, isa.TILE**2), np.uint8)  # in the DDR
        self.vector = np.zeros(isa.VECTOR_WORDS, np.int64)
        self.methods = {code: getattr(self, f"_{name.lower()}") for name, code in isa.OPCODES.items()}

    def run_image(self, index, image, allowed=(NO_BUDGET, NO_BUDGET), late=-1):
        """The record of one image that may spend `allowed` (FLOPs, cycles); `late`: pc at which lost time stops it."""
        for memory in (self.tiles, self.maps, self.vector):
            memory[:] = 0  # the engine's hold anything; a program does not read what it did not write
        self.image, self.last_pc, self.layers, self.instructions = image, -1, 0, 0
        self.masks = [np.zeros(0, np.int64)] * isa.MASKS
        self.mask_channels = [0] * isa.MASKS
        self.hidden = self.cell = np.zeros(isa.MAX_HIDDEN, np.int64)
        self.kept, self.spent, self.allowed, self.late, self.stop_pc = None, Cost(0, 0, 0), allowed, late, -1
        self.trace = [isa.TRACE_NOT_REACHED] * self.start.gates
        self.result, self.logits = no_result = _NO_RESULT, [0] * self.start.classes
        try:
            return self._record(isa.STATUS_OK, index, self._main_stream())
        except _Failed as failure:
            status, self.last_pc = failure.args
            self.result, self.logits = no_result
            return self._record(status, index, 0)

    def _record(self, status, index, reason):
        values = {"status": status, "image": index, "pc": self.last_pc, "reason": reason, **self.result}
        wide = {"flops": self.spent.flops, "cycles": self.spent.cycles}
        wide |= dict(zip(("allowed_flops", "allowed_cycles"), self.allowed))
        for name, value in wide.items():
            values[f"{name}_low"], values[f"{name}_high"] = value & 0xFFFFFFFF, value >> 32
        values["layers_run"], values["channels_run"] = self.layers, sum(max(word, 0) for word in self.trace)
        values |= {**dict.fromkeys(record.MEASURED, 0), "stop_pc": self.stop_pc}
        values["weight_bytes"], values["instructions"] = self.spent.weight_bytes & 0xFFFFFFFF, self.instructions
        words = [values[name] for name in isa.RECORD] + self.trace + self.logits
        words += [0] * (record.words(self.start.gates, self.start.classes) - len(words))
        return np.array(words, np.int64).astype(np.uint32).view(np.int32)

    def _main_stream(self):
        """Run until the image ends; the reason why it ended."""
        pc = 0
        while True:
            fields, price = self._fetch(pc)
            if self._over_budget(price, self._reserve(fields)):
                return self._stop(isa.REASON_BUDGET, isa.STATUS_BUDGET_TOO_SMALL, pc)
            if pc == self.late:
                self.stop_pc = pc
                return self._stop(isa.REASON_TIME, isa.STATUS_BUDGET_TOO_SMALL, pc)
            next_pc = self._execute(fields, price, pc)
            if fields["opcode"] == isa.EXIT:
                return isa.REASON_END
            if fields["opcode"] == isa.END:
                return self._stop(isa.REASON_END, isa.STATUS_NO_RESULT, pc)
            if fields["opcode"] == isa.TAP and self.start.rule != isa.RULE_NONE:
                self._classify(self.kept)
                if self._rule_holds(fields["threshold"]):
                    return isa.REASON_RULE
            pc = next_pc

    def _fetch(self, pc, in_classifier=False):
        """Check and price the instruction at pc."""
        words = self.program[min(pc, len(self.program) - 1)]
        status = validate(words, pc, self.limits, self.mask_channels, in_classifier)
        if status != isa.STATUS_OK:
            raise _Failed(status, pc)
        fields = decode(words)
        return fields, instruction_cost(words, *map(len, self._active(fields)), pc=pc)

    def _execute(self, fields, price, pc):
        """Count and do one instruction; the next pc."""
        self.last_pc, self.instructions = pc, self.instructions + 1
        self.spent = Cost(*(a + b for a, b in zip(self.spent, price)))
        target = self.methods[fields["opcode"]](fields)
        return pc + 1 if target is None else target

    def _over_budget(self, price, reserve):
        return any(sum(costs) > allowed for *costs, allowed in zip(self.spent, price, reserve, self.allowed))

    def _reserve(self, fields):
        if fields["opcode"] == isa.TAP:
            return fields["flops"], fields["cycles"]
        return (0, 0) if self.kept is None or self.kept.has_run else (self.kept.flops, self.kept.cycles)

    def _stop(self, reason, status, pc):
        if self.kept is None:
            raise _Failed(status, pc)
        if not self.kept.has_run:
            self._classify(self.kept)
        return reason

    def _classify(self, kept):
        pc, opcode = kept.target, None
        while opcode != isa.EXIT:
            fields, price = self._fetch(pc, in_classifier=True)
            pc, opcode = self._execute(fields, price, pc), fields["opcode"]
        kept.has_run = True
        if self._over_budget((0, 0), (0, 0)):
            raise _Failed(isa.STATUS_BUDGET_EXCEEDED, self.last_pc)

    def _rule_holds(self, own):
        rule, threshold = self.start.rule, self.start.threshold + own
        if rule == isa.RULE_ENTROPY:
            return self.result["entropy"] < threshold
        return (self.result["confidence"] if rule == isa.RULE_CONFIDENCE else self.target_probability) >= threshold

    def _active(self, f):
        """Active channels by each mask of the instruction: a CONV's input and output channels, a MOVE's."""
        masked = _MASKED.get(f["opcode"], ())
        return [self.masks[f[mask]] if f[mask] else np.arange(f[channels]) for mask, channels in masked]

    def load(self, base, channels, height, width, signed):
        """Map (channels, height, width) from tile memory."""
        words = self.tiles[base : base + channels * tiles(height, width)]
        return to_pixels(words, channels, height, width, signed)

    def _input(self, f, channels):
        return self.load(f["input"], channels, f["height"], f["width"], f["flags"] & isa.FLAG_IN_SIGNED)

    def store(self, base, values, channels=None):
        """Write values (channels, height, width) as the map at `base`, or as those `channels` of it."""
        words = to_words(values)
        channels = np.arange(len(values)) if channels is None else channels
        self.tiles[base + channels[:, None] * words.shape[1] + np.arange(words.shape[1])] = words

    def _weight_rows(self, f, rows, count):
        """(rows, count) weights of an instruction; rows are aligned."""
        size = row_bytes(count)
        return self.weights[f["weights"] :][: rows * size].reshape(rows, size)[:, :count].astype(np.int64)

    def _table_rows(self, f, rows):
        """Biases (rows,) and scales (rows,)."""
        return self.tables[f["table"] :][: rows * isa.TABLE_ROW].reshape(rows, isa.TABLE_ROW).T

    def _image(self, f):
        pixels = self.image.reshape(f["height"], f["width"], f["channels"]).transpose(2, 0, 1)
        lookup = self._weight_rows(f, f["channels"], 256)
        self.store(f["output"], np.stack([row[channel] for row, channel in zip(lookup, pixels)]))

    def _conv(self, f):
        (ins, outs), (height, width) = self._active(f), output_size(f)
        k, stride, pad = f["kernel"], f["stride"], f["kernel"] // 2
        x = np.pad(self._input(f, f["in_channels"])[ins], ((0, 0), (pad, pad), (pad, pad)))
        x = x[:, halo_rows(f) :].astype(np.float64)  # from the window of the first output on
        weights = self._filters(f)[outs][:, ins].astype(np.float64)
        sums = np.zeros((len(outs), height * width))
        for ky in range(k):
            for kx in range(k):
                tap = x[:, ky:, kx:][:, ::stride, ::stride][:, :height, :width]
                sums += weights[:, :, ky, kx] @ tap.reshape(len(ins), height * width)
        bias, scale = self._table_rows(f, 1 + f["out_channels"])
        sums = sums.astype(np.int64) + bias[1 + outs, None]
        y = requantize_sums(sums, scale[1 + outs, None]).reshape(len(outs), height, width)
        if f["flags"] & isa.FLAG_ADD:
            signed = f["flags"] & isa.FLAG_ADD_SIGNED
            y += requantize(self.load(f["identity"], f["out_channels"], height, width, signed)[outs], scale[0])
        y = clamp8(y, f["flags"])
        self.store(f["output"], y, outs)
        if f["pool"] >= 0:
            self.vector[f["pool"] + outs] = sat16(requantize(y.sum((1, 2)), bias[0]))

    def _filters(self, f):
        """(out_channels, in_channels, k, k) weights of a CONV; -128 counts as -127."""
        outs, ins, k, size = f["out_channels"], f["in_channels"], f["kernel"], filter_bytes(f)
        rows = self._weight_rows(f, outs, conv_row(f))[:, : ins * size]
        return np.maximum(rows.reshape(outs, ins, size)[:, :, : k * k].reshape(outs, ins, k, k), -127)

    def _affine(self, f):
        x = self._input(f, f["in_channels"])[:, :: f["stride"], :: f["stride"]]
        y = np.zeros((f["out_channels"], *x.shape[1:]), np.int64)
        present = y[f["channel_offset"] :][: f["in_channels"]]
        present[:] = x[: len(present)]
        bias, scale = self._table_rows(f, f["out_channels"])[:, :, None, None]
        y = clamp8(requantize_sums((y << isa.FRACTION_BITS) + bias, scale), f["flags"])
        self.store(f["output"], y)
        if f["pool"] >= 0:
            self.vector[f["pool"] :][: len(y)] = sat16(requantize(y.sum((1, 2)), f["pool_scale"]))

    def _pool(self, f):
        average, pad, (height, width) = f["flags"] & isa.FLAG_AVERAGE, f["padding"], output_size(f)
        x = self._input(f, f["channels"])
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)), constant_values=-(2**15))  # less than any pixel
        windows = np.lib.stride_tricks.sliding_window_view(x, (f["kernel"], f["kernel"]), axis=(1, 2))
        windows = windows[:, halo_rows(f) :: f["stride"], :: f["stride"]][:, :height, :width]
        y = requantize_sums(windows.sum((3, 4)), f["scale"]) if average else windows.max((3, 4))
        self.store(f["output"], clamp8(y, f["flags"]))

    def _global_pool(self, f):
        x = self._input(f, f["channels"])
        self.vector[f["output"] :][: f["channels"]] = sat16(requantize(x.sum((1, 2)), f["scale"]))

    def _fc(self, f):
        bias, scale = self._table_rows(f, f["outputs"])
        v = self._weight_rows(f, f["outputs"], f["inputs"]) @ sat16(self.vector[f["input"] :][: f["inputs"]]) + bias
        least = 0 if f["flags"] & isa.FLAG_RELU else -(2**15)
        narrow = np.maximum(sat16(requantize(v, scale)), least)
        wide = np.clip(v, -(2**31), 2**31 - 1)
        self.vector[f["output"] :][: f["outputs"]] = wide if f["flags"] & isa.FLAG_RAW else narrow

    def _lstm(self, f):
        hidden, old_cell = f["hidden"], self.cell[: f["hidden"]]
        x = np.concatenate([sat16(self.vector[f["input"] :][: f["inputs"]]), self.hidden[:hidden]])
        bias, scale = self._table_rows(f, 4 * hidden)
        pre = sat16(requantize(self._weight_rows(f, 4 * hidden, len(x)) @ x + bias, scale))  # · 2^10
        i, forget, g, o = pre.reshape(4, hidden)
        i, forget, o = (_SIGMOID[np.clip((gate + (8 << 10)) >> 4, 0, 1023)] for gate in (i, forget, o))  # · 2^15
        g = _TANH[np.clip((g + (4 << 10)) >> 3, 0, 1023)]
        cell = sat16((forget * old_cell + ((i * g) >> 3) + (1 << 14)) >> 15)  # · 2^12
        new = sat16((o * _TANH[np.clip((cell + (4 << 12)) >> 5, 0, 1023)] + (1 << 14)) >> 15)  # · 2^15
        self.cell, self.hidden = (np.r_[now, old[hidden:]] for now, old in ((cell, self.cell), (new, self.hidden)))
        self.vector[f["output"] :][:hidden] = new

    def _gate_layer(self, f):
        keep = self.vector[f["input"]] > f["threshold"]
        self.trace[f["gate"]] = f["channels"] if keep else isa.TRACE_SKIPPED
        self.layers += int(keep)
        return None if keep else f["target"]

    def _gate_channel(self, f):
        active = np.flatnonzero(self.vector[f["input"] :][: f["channels"]] > f["threshold"])
        self.masks[f["mask"]], self.mask_channels[f["mask"]] = active, f["channels"]
        if f["gate"] >= 0:
            self.trace[f["gate"]] = len(active)

    def _move(self, f):
        (channels,) = self._active(f)
        (target, to), (source, at) = (self._words(f, role, channels) for role in ("output", "input"))
        target[to] = source[at]

    def _words(self, f, role, channels):
        """The memory that a MOVE's `role` lies in, and the addresses (channels, words) in it."""
        memory = self.maps if f[role] >= isa.DDR_ADDRESS else self.tiles
        first = f[role] % isa.DDR_ADDRESS
        return memory, first + channels[:, None] * f[f"{role}_pitch"] + np.arange(f["words"])

    def _tap(self, f):
        self.kept = SimpleNamespace(target=f["target"], flops=f["flops"], cycles=f["cycles"], has_run=False)

    def _exit(self, f):
        logits = self.vector[f["input"] :][: f["classes"]]
        d = np.clip(-requantize(logits - logits.max(), f["scale"]), 0, 4095)  # distances in nats · 2^8
        e = _EXP[d >> 2]
        z, s = int(e.sum()), int((e * d).sum())
        k = z.bit_length() - 1
        entropy = _LOG[((z << 8) >> k) & 255] + (k - 16) * isa.LN2 + (s << 8) // z
        self.result = {"exit": f["exit"], "label": int(logits.argmax())}
        self.result |= {"confidence": (int(e.max()) << 16) // z, "entropy": max(0, entropy)}
        self.target_probability = (int(e[min(self.start.target_class, len(e) - 1)]) << 16) // z
        self.logits = logits.tolist()

    def _end(self, f):
        """Nothing: the main stream stops."""
