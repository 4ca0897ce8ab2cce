// The step behind one: along the row, then down, then the next group of output channels (hls/src/chip/lanes.hpp). Steps
// stand at multiples of their side, so that the last ones are told by their place alone.
module next_step (
    input ddi::layer_t layer,
    input logic [ddi::kSideBits-1:0] row, column,
    output logic [ddi::kSideBits-1:0] row_then, column_then,
    output logic map_ends
);
  wire [ddi::kSideBits-1:0] side = layer.by_parts ? ddi::kPart : ddi::kTile;
  wire [ddi::kSideBits-1:0] last_row = (layer.out_height - 1) & -side;
  wire [ddi::kSideBits-1:0] last_column = (layer.out_width - 1) & -side;
  wire row_ends = column == last_column;
  assign map_ends = row_ends && row == last_row;
  assign column_then = row_ends ? '0 : column + side;
  assign row_then = map_ends ? '0 : row_ends ? row + side : row;
endmodule
