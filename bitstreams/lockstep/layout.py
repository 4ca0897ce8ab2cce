"""What RTL and C++ share: the contract's constants, a layer's description, the planner's registers.

    package, header = written(folder)     # ddi.sv and layout.hpp, made of hls/src

Each field is named once, with its width and where the C++ has it. The widths and the constants that the RTL names
(`ddi::kTile`) are asked of the C++ itself, by a program that prints them.
"""

import re
import tempfile
from pathlib import Path

from hls import cosim
from hls.command import tools

RTL = Path(__file__).with_name("rtl")
COMMANDS = "commands.svh"  # goes into the package
HARNESS = Path(__file__).with_name("harness.cpp")

# Field → (bits, the C++'s value): of ddi::Layer `layer` and ddi::ConvPlan `plan`.
LAYER = {
    "input_word": ("kTileAddressBits", "layer.input.address"),
    "in_height": ("kSideBits", "layer.input.height"),
    "in_width": ("kSideBits", "layer.input.width"),
    "in_rows": ("kTileColumnBits", "TileCount(layer.input.height)"),
    "in_columns": ("kTileColumnBits", "layer.input.columns"),
    "in_tiles": ("kTileBits", "layer.input.tiles"),
    "output_word": ("kTileAddressBits", "layer.output.address"),
    "out_height": ("kSideBits", "layer.output.height"),
    "out_width": ("kSideBits", "layer.output.width"),
    "out_columns": ("kTileColumnBits", "layer.output.columns"),
    "out_tiles": ("kTileBits", "layer.output.tiles"),
    "identity_word": ("kTileAddressBits", "layer.identity.address"),
    "top": ("1", "layer.top / isa::kTile"),  # tiles
    "padding": ("2", "layer.padding"),
    "in_mask": ("2", "layer.in_mask"),
    "out_mask": ("2", "layer.out_mask"),
    "has_rows": ("1", "layer.shape.row != 0"),
    "fetch_words": ("kLaneWordBits", "layer.fetch_words"),
    "pools": ("1", "layer.pool >= 0"),
    "pool": ("BitsOf(isa::kVectorWords - 1)", "Larger(layer.pool, 0)"),
    "identity_multiplier": ("-17", "layer.of_identity.multiplier"),
    "identity_shift": ("6", "layer.of_identity.shift"),
    "pool_multiplier": ("-17", "layer.of_pool.multiplier"),
    "pool_shift": ("6", "layer.of_pool.shift"),
    "in_signed": ("1", "layer.in_signed"),
    "relu": ("1", "layer.relu"),
    "add": ("1", "layer.add"),
    "add_signed": ("1", "layer.add_signed"),
    "kernel": ("kKernelBits", "layer.shape.kernel"),
    "stride2": ("1", "layer.shape.stride == 2"),
    "by_parts": ("1", "layer.shape.by_parts"),
    "paired": ("1", "layer.shape.paired"),
    "two_blocks": ("1", "WindowBlocks(layer.shape.kernel, layer.shape.stride) == 2"),
    "drain_blocks": ("4", "DrainBlocks(layer)"),
    "active_in": ("kChannelBits", "layer.shape.active_in"),
    "inputs": ("kChannelBits", "layer.shape.inputs"),
    "filter_bytes": ("6", "layer.shape.filter_bytes"),
    "groups": ("kChannelBits", "plan.groups"),
    "channels": ("kResultBits", "plan.channels"),
    "last": ("kResultBits", "plan.last"),
    "beat": ("5", "plan.beat"),
    "taps": ("5", "plan.taps"),
}  # fmt: skip

# Register of the planner → (bits, the C++'s value): of ddi::LayerPlaces `places`. What is left of a
# chunk is counted down.
PLACE = {
    "list_group": ("kChannelBits", "places.list.step.group"),
    "list_first": ("kChannelBits + 1", "places.list.step.first_out"),
    "list_channel": ("kResultBits", "places.list.channel"),
    "table_group": ("kChannelBits", "places.table.step.group"),
    "table_channel": ("kResultBits", "places.table.channel"),
    "fetch_group": ("kChannelBits", "places.fetch.step.group"),
    "fetch_turn": ("2", "places.fetch.turn"),
    "fetch_chunk": ("kLaneWordBits", "places.fetch.chunk"),
    "fetch_size": ("kBurstBits", "places.fetch.size"),
    "fetch_left": ("kBurstBits", "places.fetch.left"),
    "fetch_rest": ("kLaneWordBits", "places.fetch.rest"),
    "fetch_ready": ("kLaneByteBits", "places.fetch.ready"),
    "gather_group": ("kChannelBits", "places.gather.step.group"),
    "gather_row": ("kSideBits", "places.gather.step.row"),
    "gather_column": ("kSideBits", "places.gather.step.column"),
    "gather_input": ("kChannelBits", "places.gather.input"),
    "gather_down": ("2", "places.gather.down"),
    "gather_across": ("2", "places.gather.across"),
    "gather_whole": ("1", "places.gather.whole"),
    "multiply_group": ("kChannelBits", "places.multiply.step.group"),
    "multiply_row": ("kSideBits", "places.multiply.step.row"),
    "multiply_column": ("kSideBits", "places.multiply.step.column"),
    "multiply_input": ("kChannelBits", "places.multiply.input"),
    "multiply_filter": ("kLaneByteBits", "places.multiply.filter"),
    "multiply_beat": ("5", "places.multiply.beat"),
    "multiply_tap_row": ("kKernelBits", "places.multiply.row"),
    "multiply_tap_column": ("kKernelBits", "places.multiply.column"),
    "multiply_row_end": ("kLaneByteBits", "places.multiply.row_end"),
    "multiply_loaded": ("1", "places.multiply.loaded"),
    "drain_busy": ("1", "places.drain.busy"),
    "drain_group": ("kChannelBits", "places.drain.step.group"),
    "drain_row": ("kSideBits", "places.drain.step.row"),
    "drain_column": ("kSideBits", "places.drain.step.column"),
    "drain_result": ("kResultBits", "places.drain.result"),
    "drain_block": ("4", "places.drain.block"),
    "late": ("BitsOf(isa::kWriteDelay)", "places.late"),
}  # fmt: skip

_PRINTER = """\
#define DDI_CHIP
#include <cstdio>
#include "chip/layer.hpp"
using namespace ddi;
using namespace ddi::isa;
int main() {{
{prints}
}}
"""
# A sum of a lane's bytes, by its largest factors, with a sign: NarrowSum of hls/src/chip/array.hpp.
_SUM_WIDTH = "BitsOf((int64_t(kLaneBytes) * kMaxWeight * kMaxPackedPixel) >> 16) + 17"


def rtl():
    """Name → text of the RTL that is written by hand."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(RTL.glob("*.sv*"))}


def package(sources):
    """The text of ddi.sv for the RTL `sources`, name → text. CosimError where the C++ has no such constant."""
    wanted = sorted({name for text in sources.values() for name in re.findall(r"\bk[A-Z]\w*", text)})
    constants = {name: _SUM_WIDTH if name == "kSumWidth" else name for name in wanted}
    widths = {f"{kind}.{field}": bits for kind, table in (("layer", LAYER), ("place", PLACE))
              for field, (bits, _) in table.items()}  # fmt: skip
    values = _evaluated({**constants, **widths})
    lines = ["// Generated by bitstreams/lockstep/layout.py from hls/src.", "package ddi;"]
    lines += [f"  localparam int {name} = {values[name]};" for name in wanted]
    for kind, table in (("layer", LAYER), ("place", PLACE)):
        # A packed structure has its first field in the highest bits; PackBits of layout.hpp fills from the lowest.
        fields = [_field(name, values[f"{kind}.{name}"]) for name in reversed(table)]
        lines += ["  typedef struct packed {", *fields, f"  }} {kind}_t;"]
    lines += [sources[COMMANDS]]
    return "\n".join([*lines, "endpackage", ""])


def _field(name, bits):
    return f"    logic {'signed ' if bits < 0 else ''}[{abs(bits) - 1}:0] {name};"


def header():
    """The text of layout.hpp: the same fields as bits of words, for the harness."""
    lines = ["// Generated by bitstreams/lockstep/layout.py.", "namespace lockstep {", "using namespace ddi;"]
    for kind, table, arguments in (("Layer", LAYER, "const Layer& layer, const ConvPlan& plan"),
                                   ("Place", PLACE, "const Layer& layer, const LayerPlaces& places")):  # fmt: skip
        lines += [f"inline void Pack{kind}({arguments}, Bits& bits) {{"]
        lines += [f"  bits.Put({value}, {bits.lstrip('-')});" for bits, value in table.values()]
        lines += ["}"]
        names = ", ".join(f'{{"{name}", {bits.lstrip("-")}}}' for name, (bits, _) in table.items())
        lines += [f"static const Field k{kind}Fields[] = {{{names}}};"]
    return "\n".join([*lines, "}  // namespace lockstep", ""])


def _evaluated(expressions):
    """Name → value of C++ expressions, as the chip's form of hls/src has them."""
    prints = "\n".join(f'  std::printf("%d\\n", int({each}));' for each in expressions.values())
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "constants.cpp", Path(folder) / "constants"
        source.write_text(_PRINTER.format(prints=prints), encoding="utf-8")
        command = [cosim.compiler(), "-std=c++14", "-w", f"-I{cosim.SOURCES}"]
        cosim.compile_whole(command, source, "the constants that bitstreams/lockstep names", program)
        program.chmod(0o755)
        found = tools.run([str(program)]).stdout.split()
    return dict(zip(expressions, map(int, found)))
