// The step behind one: along the row, then down, then the next group of output channels (hls/src/chip/lanes.hpp).
module next_step (
    input ddi::layer_t layer,
    input logic [ddi::kSideBits-1:0] row, column,
    input logic [ddi::kChannelBits-1:0] group,
    output logic [ddi::kSideBits-1:0] row_then, column_then,
    output logic [ddi::kChannelBits-1:0] group_then
);
  wire [ddi::kSideBits-1:0] side = layer.by_parts ? ddi::kPart : ddi::kTile;
  wire [ddi::kSideBits-1:0] right = column + side;
  wire [ddi::kSideBits-1:0] below = row + side;
  wire row_ends = right >= layer.out_width;
  wire map_ends = row_ends && below >= layer.out_height;
  assign column_then = row_ends ? '0 : right;
  assign row_then = map_ends ? '0 : row_ends ? below : row;
  assign group_then = group + map_ends;
endmodule
