"""Faults that the comparison must see: a text of the RTL, and another in its place (build.sources)."""

FAULTS = (
    ("array.sv", "high_0 + $signed(low[7:0])", "high_0 - $signed(low[7:0])"),
    ("array.sv", "sum_14 + product_2", "sum_13 + product_2"),  # a tap of another cycle
    ("array.sv", "sum_15[SHIFT] ^ odd_15", "sum_15[SHIFT]"),
    ("planner.sv", "layer.kernel > ddi::kRowTaps",
     "layer.kernel >= ddi::kRowTaps"),
    ("planner.sv", "now.fetch_ready >= now.multiply_row_end", "1'b1"),  # weights that have not come
    ("planner.sv", "table_ahead != 0", "table_ahead != 0 || now.table_channel != 0"),  # biases that have not come
    ("planner.sv", "gathers && !whole_a && !due_last", "gathers && !whole_a"),  # a read of a port that writes
    ("planner.sv", "(weights_valid | ~used) == {ddi::kWeightPorts{1'b1}}", "weights_valid[0]"),
    ("gather.sv", "base_5 + tile_5", "base_5 - tile_5"),
    ("window.sv", "turned[64*y+8*((x+7)%8)+:8]", "turned[64*y+8*((x+6)%8)+:8]"),
    ("lanes.sv", "multiply_8.at[2] ? {even_8, odd_8} : {odd_8, even_8}", "{odd_8, even_8}"),  # neighbours swapped
    ("lanes.sv", "byte_9 == 8'h80 ? 8'h81 : byte_9", "byte_9"),
    ("drain.sv", "{drain_15.bank, drain_15.result}", "{drain_15.bank, 3'd0}"),  # another channel's bias
    ("drain.sv", "layer.by_parts ? i % 4 / 2 : i", "layer.by_parts ? i % 4 / 2 : 7 - i"),
    ("scale.sv", "twice_4 + 1", "twice_4 + 0"),  # without rounding
    ("pool.sv", "layer.pool + channel_30", "layer.pool"),
)  # fmt: skip
