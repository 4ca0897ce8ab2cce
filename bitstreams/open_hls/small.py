"""The small configurations that `make rtl` turns into RTL: sizes, a program, and for a part what is left out.

    python -m bitstreams.open_hls.small FOLDER     # in a folder of hls/generate/variant.py: vectors, sources, bench

RTL simulates slowly and an open compiler takes its time for each memory, so that these are as small as the program
lets them be; what makes the engine's arithmetic stays as it is. "decisions" is the engine without the units of maps:
control, checks, prices, budget, FC, LSTM, gates and exits. "layers" has the loop of maps and no LSTM, "whole" is all of
it. Answers on stdout, as JSON.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from bitstreams import sources, vectors
from hls import isa
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.cost import classifier_cost
from hls.errors import UserError
from hls.package import Package
from hls.program import encode
from hls.record import Start, decode

# Sizes of memories and counters alone; those of the array are the engine's.
SIZES = {"TILE_WORDS": 128, "VECTOR_WORDS": 64, "MAX_CHANNELS": 16, "LANE_BYTES": 1024, "MAX_MAP": 16, "MAX_HIDDEN": 8,
         "MAX_INSTRUCTIONS": 64, "CODE_STORE": 16, "MAX_GATES": 4, "MAX_CLASSES": 8}  # fmt: skip
# part → calls of Execute that are left out
LEFT_OUT = {"decisions": ("RunImage", "CountLayer", "RunMove"), "layers": ("RunMove", "RunLstm"), "whole": ()}
PARTS = tuple(LEFT_OUT)
IMAGES = {"decisions": 2, "layers": 1, "whole": 2}
SEED = 5
HEIGHT, WIDTH, COLOURS = 5, 9, 3  # two tiles side by side, both cut off
POOLED_HEIGHT, POOLED_WIDTH = -(-HEIGHT // 2), -(-WIDTH // 2)
CHANNELS, CLASSES, GATES, UNITS = 7, 5, 2, 5
FEW, SOME = 3, 180  # channels of "layers", and a threshold that two of them pass
ENTROPY = 96338  # 1.47 nats · 2^16: one image runs to the end, one keeps its block and stops at the first exit
SCALE = 10 << 16 | 5  # · 5 · 2^-10
POOLED = 5 << 16 | 3
HALF = 1 << 16 | 1
FAR = isa.DDR_ADDRESS


class _Code:
    """Instructions, and the weights and tables that they ask for."""

    def __init__(self):
        self.random = np.random.default_rng(SEED)
        self.words, self.weights, self.tables = [], np.zeros(0, np.int8), np.zeros(0, np.int32)

    def add(self, opcode, **fields):
        self.words.append(encode(opcode, **fields))
        return len(self.words) - 1

    def rows(self, count, size):
        """Address of `count` new rows of weights of `size` bytes."""
        at, size = len(self.weights), -(-size // isa.WEIGHT_ALIGN) * isa.WEIGHT_ALIGN
        self.weights = np.concatenate([self.weights, self.random.integers(-127, 128, count * size, dtype=np.int8)])
        return at

    def table(self, count, scale=SCALE):
        """Address of `count` new rows of a bias and a scale."""
        at = len(self.tables)
        rows = np.stack([self.random.integers(-900, 900, count), np.full(count, scale)], 1).astype(np.int32)
        self.tables = np.concatenate([self.tables, rows.ravel()])
        return at

    def conv(self, source, target, in_channels, out_channels, kernel=3, taps=None, **fields):
        """A convolution of a map of HEIGHT × WIDTH, unless `fields` say otherwise. taps: bytes of a filter."""
        defaults = {"flags": isa.FLAG_RELU, "identity": 0, "height": HEIGHT, "width": WIDTH, "stride": 1, "in_mask": 0,
                    "out_mask": 0, "pool": -1}  # fmt: skip
        rows, table = self.rows(out_channels, in_channels * (taps or kernel**2)), self.table(1 + out_channels)
        self.tables[table : table + 2] = POOLED, HALF  # of the results' pool, and of the identity
        self.add(isa.CONV, **{**defaults, **fields}, input=source, output=target, in_channels=in_channels,
                 out_channels=out_channels, kernel=kernel, weights=rows, table=table)  # fmt: skip

    def fc(self, source, target, inputs, outputs):
        rows, table = self.rows(outputs, inputs), self.table(outputs)
        self.add(isa.FC, flags=isa.FLAG_RAW, input=source, output=target, inputs=inputs, outputs=outputs,
                 weights=rows, table=table)  # fmt: skip

    def exit(self, number, source):
        return self.add(isa.EXIT, exit=number, input=source, classes=CLASSES, scale=8 << 16 | 1)

    def pool(self, source, target, channels):
        """The largest pixels of a map of HEIGHT × WIDTH, 3 × 3, every second."""
        self.add(isa.POOL, flags=isa.FLAG_RELU, input=source, output=target, scale=1, channels=channels, height=HEIGHT,
                 width=WIDTH, kernel=3, stride=2, padding=1)  # fmt: skip

    def global_pool(self, source, target, height, width, channels=CHANNELS):
        return self.add(isa.GLOBAL_POOL, flags=0, input=source, output=target, channels=channels, height=height,
                        width=width, scale=POOLED)  # fmt: skip


def _lstm_and_gates(code, block):
    """LSTM, a channel gate and a layer gate in front of `block` instructions."""
    shape = {"input": 0, "output": 16, "inputs": CHANNELS, "hidden": UNITS}
    rows, table = code.rows(4 * UNITS, CHANNELS + UNITS), code.table(4 * UNITS, scale=4 << 16 | 1)
    code.add(isa.LSTM, **shape, weights=rows, table=table)
    code.fc(16, 24, UNITS, CHANNELS)
    code.add(isa.GATE_CHANNEL, input=24, channels=CHANNELS, threshold=-900, mask=1, gate=0)
    target = len(code.words) + 1 + block
    code.add(isa.GATE_LAYER, input=24, threshold=-1200000, target=target, gate=1, channels=CHANNELS)


def _gated_block(code):
    """Both gates, and a block of two convolutions under the channel gate, which the layer gate may skip."""
    _lstm_and_gates(code, block=2)
    code.conv(16, 48, CHANNELS, CHANNELS, out_mask=1)
    code.conv(48, 16, CHANNELS, CHANNELS, kernel=1, taps=isa.WEIGHT_ALIGN, in_mask=1, identity=16,
              flags=isa.FLAG_RELU | isa.FLAG_ADD)  # fmt: skip


def _reduced(code):
    """Pooling, out to the DDR and back, a folded convolution and an AFFINE of a small map; the last classifier."""
    code.pool(16, 48, CHANNELS)
    pitches = {"channels": CHANNELS, "words": 1, "input_pitch": 1, "output_pitch": 1, "mask": 0}
    code.add(isa.MOVE, input=48, output=FAR, **pitches)
    code.add(isa.MOVE, input=FAR, output=60, **pitches)
    code.conv(60, 80, CHANNELS, CHANNELS, height=POOLED_HEIGHT, width=POOLED_WIDTH, stride=2, pool=32)
    table = code.table(CHANNELS, scale=(isa.FRACTION_BITS << 16) | 1)
    code.add(isa.AFFINE, flags=isa.FLAG_RELU, input=60, output=90, in_channels=CHANNELS, out_channels=CHANNELS,
             height=POOLED_HEIGHT, width=POOLED_WIDTH, stride=2, channel_offset=1, table=table, pool=-1,
             pool_scale=0)  # fmt: skip
    code.global_pool(90, 40, -(-POOLED_HEIGHT // 2), -(-POOLED_WIDTH // 2))
    code.fc(40, 48, CHANNELS, CLASSES)
    code.exit(1, 48)


def network():
    """(program, weights, tables) with every instruction of the contract."""
    code = _Code()
    code.add(isa.IMAGE, output=0, channels=COLOURS, height=HEIGHT, width=WIDTH, weights=code.rows(COLOURS, 256))
    code.conv(0, 16, COLOURS, CHANNELS, flags=isa.FLAG_RELU | isa.FLAG_IN_SIGNED, pool=0)
    _gated_block(code)
    tap = code.add(isa.TAP, exit=0, target=0, flops=0, cycles=0, threshold=0)
    _reduced(code)
    code.add(isa.END)
    target = code.global_pool(16, 40, HEIGHT, WIDTH)
    code.fc(40, 56, CHANNELS, CLASSES)
    code.exit(0, 56)
    _set_tap(code, tap, target)
    return np.stack(code.words), code.weights, code.tables


def layers():
    """(program, weights, tables) of IMAGE, CONV with all that it can do, POOL, GLOBAL_POOL, FC and EXIT: few cycles."""
    code = _Code()
    code.add(isa.IMAGE, output=0, channels=COLOURS, height=HEIGHT, width=WIDTH, weights=code.rows(COLOURS, 256))
    code.conv(0, 16, COLOURS, FEW, flags=isa.FLAG_RELU | isa.FLAG_IN_SIGNED, pool=0)
    code.add(isa.GATE_CHANNEL, input=0, channels=FEW, threshold=SOME, mask=1, gate=0)
    code.conv(16, 32, FEW, FEW, kernel=1, taps=isa.WEIGHT_ALIGN, in_mask=1, identity=16,
              flags=isa.FLAG_RELU | isa.FLAG_ADD)  # fmt: skip
    code.pool(32, 48, FEW)
    code.global_pool(48, 8, POOLED_HEIGHT, POOLED_WIDTH, FEW)
    code.fc(8, 16, FEW, CLASSES)
    code.exit(0, 16)
    return np.stack(code.words), code.weights, code.tables


def decisions():
    """(program, weights, tables) of FC, LSTM, both gates, TAP under a rule, and EXIT; it starts from biases alone."""
    code = _Code()
    code.fc(40, 0, 1, CHANNELS)
    _lstm_and_gates(code, block=1)
    code.fc(24, 0, CHANNELS, CHANNELS)
    tap = code.add(isa.TAP, exit=0, target=0, flops=0, cycles=0, threshold=0)
    code.fc(0, 48, CHANNELS, CLASSES)
    code.exit(1, 48)
    code.add(isa.END)
    target = len(code.words)
    code.fc(0, 56, CHANNELS, CLASSES)
    code.exit(0, 56)
    _set_tap(code, tap, target)
    return np.stack(code.words), code.weights, code.tables


def _set_tap(code, tap, target):
    cost = classifier_cost(np.stack(code.words), target)
    code.words[tap] = encode(isa.TAP, exit=0, target=target, flops=cost.flops, cycles=cost.cycles, threshold=0)


def batch(part):
    """(package, images, start) as bitstreams/vectors.py takes them."""
    meta = {"input": {"height": HEIGHT, "width": WIDTH, "channels": COLOURS}, "classes": ["class"] * CLASSES}
    made = {"decisions": decisions, "layers": layers, "whole": network}[part]()
    package = Package(*made, meta | {"gates": [{}] * GATES, "map_words": CHANNELS})
    images = np.random.default_rng(SEED).integers(0, 256, (IMAGES[part], HEIGHT, WIDTH, COLOURS), np.uint8)
    start = Start(GATES, CLASSES, rule=isa.RULE_ENTROPY, threshold=ENTROPY, map_words=CHANNELS)
    return package, images, start


def _unused(call):
    """What stands for a call that is left out: its arguments, a call's within it too, are no mistake."""
    names = [name.strip() for name in re.sub(r"\w+\(|\)", "", call[2]).split(",") if "." not in name]
    return "".join(f"{call[1]}static_cast<void>({name});\n" for name in names)


def cut(folder, part):
    """Leave the calls out of the copy of the sources in `folder` that `part` does without. UserError."""
    path = Path(folder) / "src" / sources.MAIN
    text = path.read_text(encoding="utf-8")
    for call in LEFT_OUT[part]:
        text, found = re.subn(rf"^( +)(?:if \([^;]*\) )?{call}\(([^;]*)\);\n", _unused, text, flags=re.MULTILINE)
        if found != 1:
            raise UserError(f"{sources.MAIN} calls {call} {found} times, expected once: adapt LEFT_OUT")
    path.write_text(text, encoding="utf-8")


def answer(folder, part, resources):
    """Write everything into `folder`; what is known of the configuration before any tool has run."""
    package, images, start = batch(part)
    results = decode(vectors.write(folder, package, images, start), start)
    if results.status.any():
        raise UserError(f"the small program ends with status {results.status.tolist()}, expected OK")
    cut(folder, part)
    passed, text = vectors.simulate(folder)
    if not passed:
        raise UserError(f"the C++ differs from the golden model: {text}")
    used = sorted({int(word) for word in package.program[:, 0]})
    return {
        "part": part,
        "sizes": SIZES,
        "hash": isa.HASH,
        "opcodes": [name for name, code in isa.OPCODES.items() if code in used],
        "images": len(images),
        "exits": results.exit.tolist(),
        "modelled_cycles": results.cycles.tolist(),
        "modelled": modelled_resources(Path(folder) / "src") if resources else {},
    }


def modelled_resources(folder):
    """Resource → count by hls/estimate/resources.py; {} where what it needs is not installed."""
    try:
        from hls.estimate.resources import estimate
    except ImportError:
        return {}
    return {name: round(amount) for name, amount in estimate(folder).total.items()}


def main(argv=None):
    """0, or 1 with one line where the vectors cannot be made."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where to write")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0], help="of the engine (default: %(default)s)")
    parser.add_argument("--resources", action="store_true", help="estimate them, which takes some seconds")
    arguments = parser.parse_args(argv)
    codes = {UserError: 1, ValueError: 1, OSError: 1}
    return guarded("bitstreams.open_hls.small", lambda: _show(arguments), "interrupted", codes)


def _show(arguments):
    print(json.dumps(answer(arguments.folder, arguments.part, arguments.resources)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
