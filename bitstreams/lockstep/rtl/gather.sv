// Gather: from a step and an input channel to an address for every bank of tile memory, for both of its ports.
//
// Stage 0 has the planner's command; a name's number is the stage in which its register stands. Stage 1 has the channel,
// stage 4 its place in the map, stage 6 four addresses for each port: of the tiles that 8 x 8 pixels can touch, or four
// times a word's. Stage 7 has an address for each bank (hls/src/tile_memory.hpp).
module gather (
    input logic clk,
    input ddi::layer_t layer,
    input ddi::read_t read_0,
    input ddi::drain_t drain_0,
    input logic [ddi::kIndexBits-1:0] channel_1,         // of the input
    input logic [ddi::kIndexBits-1:0] drain_channel_2,   // of the output
    input logic due_5,                                   // port B writes the word that is due
    input logic host,                                    // port B is the front end's
    input logic [ddi::kTileAddressBits-1:0] host_at,
    output logic [ddi::kTileAddressBits*ddi::kTilePixels-1:0] at_a_7, at_b_7,
    output logic [ddi::kTile-1:0] rows_a_8, columns_a_8,  // pixels of the block that lie in the map
    output logic [ddi::kTile-1:0] rows_b_8, columns_b_8
);
  localparam int BITS = ddi::kTileAddressBits;
  localparam int SIDE = ddi::kSideBits + 2;

  // Where the step's window starts: its tile, and its first pixel.
  ddi::read_t read_1;
  logic [ddi::kIndexBits-1:0] channel_2;
  logic signed [SIDE-1:0] row_1, column_1;
  logic [5:0] tile_row_1, tile_column_1;
  wire [ddi::kSideBits:0] row_0 = layer.stride2 ? {read_0.row, 1'b0} : {1'b0, read_0.row[ddi::kSideBits-1:3], 3'b0};
  wire [ddi::kSideBits:0] column_0 =
      layer.stride2 ? {read_0.column, 1'b0} : {1'b0, read_0.column[ddi::kSideBits-1:3], 3'b0};
  logic second_2;  // of a pair there is another channel
  always_ff @(posedge clk) begin
    read_1 <= read_0;
    row_1 <= $signed({1'b0, row_0}) + $signed({1'b0, layer.top, 3'b0}) - $signed({1'b0, layer.padding});
    column_1 <= $signed({1'b0, column_0}) - $signed({1'b0, layer.padding});
    tile_row_1 <= row_0[8:3] + layer.top;
    tile_column_1 <= column_0[8:3];
    channel_2 <= layer.paired ? {read_1.index[ddi::kIndexBits-2:0], 1'b0} : channel_1;
    second_2 <= {read_1.index, 1'b1} < layer.active_in;
  end

  // The channel's first word, counted from the map's, and the tile's, counted from the channel's.
  logic [BITS-1:0] channel_words_4, row_words_3;
  times #(.A(ddi::kTileBits), .B(ddi::kIndexBits), .OUT(BITS)) of_channel (
      .clk, .a(layer.in_tiles), .b(channel_2), .product(channel_words_4));
  times #(.A(6), .B(6), .OUT(BITS)) of_row (.clk, .a(tile_row_1), .b(layer.in_columns), .product(row_words_3));
  wire up = layer.padding != 0;
  logic [5:0] tile_row_3, tile_column_3;
  logic second_3;
  ddi::read_t read_3, read_4, read_5;
  delay #(.WIDTH(12), .N(2)) d_tile (.clk, .d({tile_row_1, tile_column_1}), .q({tile_row_3, tile_column_3}));
  delay #(.WIDTH($bits(read_1)), .N(2)) d_read (.clk, .d(read_1), .q(read_3));
  always_ff @(posedge clk) begin
    second_3 <= second_2;
    read_4 <= read_3;
    read_5 <= read_4;
  end

  // Both ports: the block's first tile, and which of it and its neighbours are there.
  wire pair_a_3 = layer.paired && read_3.across_a, pair_b_3 = layer.paired && read_3.across_b;
  logic [BITS*4-1:0] block_a_6, block_b_6;
  logic [BITS-1:0] identity_5, due_word_5;
  corners corners_a (.clk, .layer, .down_3(read_3.down_a), .across_3(read_3.across_a && !layer.paired),
      .second_3(pair_a_3 && second_3), .tile_row_3, .tile_column_3, .row_words_3, .channel_words_4,
      .word_5(read_5.identity), .word_at_5(identity_5), .at_6(block_a_6));
  corners corners_b (.clk, .layer, .down_3(read_3.down_b), .across_3(read_3.across_b && !layer.paired),
      .second_3(pair_b_3 && second_3), .tile_row_3, .tile_column_3, .row_words_3, .channel_words_4,
      .word_5(due_5 || host), .word_at_5(host ? host_at : due_word_5), .at_6(block_b_6));

  // The word that is drained: the identity's now, the output's when its pixels are due.
  logic [ddi::kSideBits-1:0] drain_row_1, drain_column_1;
  logic [BITS-1:0] drain_words_4, drain_rows_3, drain_tile_4, word_5, written_5;
  logic [5:0] drain_column_3;
  times #(.A(ddi::kTileBits), .B(ddi::kIndexBits), .OUT(BITS)) of_drained (
      .clk, .a(layer.out_tiles), .b(drain_channel_2), .product(drain_words_4));
  times #(.A(6), .B(6), .OUT(BITS)) of_drained_row (
      .clk, .a(drain_row_1[8:3]), .b(layer.out_columns), .product(drain_rows_3));
  delay #(.WIDTH(6), .N(2)) d_column (.clk, .d(drain_column_1[8:3]), .q(drain_column_3));
  assign written_5 = layer.output_word + word_5;
  delay #(.WIDTH(BITS), .N(ddi::kWriteDelay)) d_word (.clk, .d(written_5), .q(due_word_5));
  assign identity_5 = layer.identity_word + word_5;
  always_ff @(posedge clk) begin
    drain_row_1 <= drain_0.row;
    drain_column_1 <= drain_0.column;
    drain_tile_4 <= drain_rows_3 + drain_column_3;
    word_5 <= drain_words_4 + drain_tile_4;
  end

  bank_addresses banks_a (.clk, .padding(layer.padding), .block_6(block_a_6), .at_7(at_a_7));
  bank_addresses banks_b (.clk, .padding(layer.padding), .block_6(block_b_6), .at_7(at_b_7));

  // What of the block lies in the map.
  logic [ddi::kTile-1:0] rows_a_2, columns_a_2, rows_b_2, columns_b_2;
  in_map rows_a (.clk, .first_1(row_1), .next_1(read_1.down_a), .size(layer.in_height), .inside_2(rows_a_2));
  in_map rows_b (.clk, .first_1(row_1), .next_1(read_1.down_b), .size(layer.in_height), .inside_2(rows_b_2));
  in_map columns_a (.clk, .first_1(column_1), .next_1(read_1.across_a && !layer.paired), .size(layer.in_width),
                    .inside_2(columns_a_2));
  in_map columns_b (.clk, .first_1(column_1), .next_1(read_1.across_b && !layer.paired), .size(layer.in_width),
                    .inside_2(columns_b_2));
  delay #(.WIDTH(4 * ddi::kTile), .N(6)) d_inside (.clk, .d({rows_a_2, columns_a_2, rows_b_2, columns_b_2}),
                                                   .q({rows_a_8, columns_a_8, rows_b_8, columns_b_8}));
endmodule

// Each bank reads from the tile that its pixel lies in. Along a side, the first banks have one address whatever the
// padding; so a few registers serve all.
module bank_addresses (
    input logic clk,
    input logic [1:0] padding,
    input logic [ddi::kTileAddressBits*4-1:0] block_6,
    output logic [ddi::kTileAddressBits*ddi::kTilePixels-1:0] at_7
);
  localparam int BITS = ddi::kTileAddressBits;
  localparam int KINDS = ddi::kBankKinds;
  localparam int LAST = ddi::kTogether - 1;  // of those that have one
  wire [2:0] first = -{1'b0, padding};  // of the banks that the first tile serves
  logic [BITS*KINDS*KINDS-1:0] kinds_7;
  generate
    for (genvar i = 0; i < KINDS; i++) begin : g_rows
      for (genvar j = 0; j < KINDS; j++) begin : g_columns
        wire [BITS-1:0] here = j + LAST < first ? block_6[BITS+:BITS] : block_6[0+:BITS];
        wire [BITS-1:0] below = j + LAST < first ? block_6[BITS*3+:BITS] : block_6[BITS*2+:BITS];
        always_ff @(posedge clk) kinds_7[BITS*(KINDS*i+j)+:BITS] <= i + LAST < first ? below : here;
      end
    end
    for (genvar b = 0; b < ddi::kTilePixels; b++) begin : g_banks
      localparam int ROW = b / 8 < LAST ? 0 : b / 8 - LAST;
      localparam int COLUMN = b % 8 < LAST ? 0 : b % 8 - LAST;
      assign at_7[BITS*b+:BITS] = kinds_7[BITS*(KINDS*ROW+COLUMN)+:BITS];
    end
  endgenerate
endmodule

// Which of eight rows or columns from `first` on, or from the eighth behind it, lie in a map of that size. The first is
// at most a padding before the map.
module in_map (
    input logic clk,
    input logic signed [ddi::kSideBits+1:0] first_1,
    input logic next_1,
    input logic [ddi::kSideBits-1:0] size,
    output logic [ddi::kTile-1:0] inside_2
);
  localparam int SIDE = ddi::kSideBits + 2;
  wire signed [SIDE-1:0] first = {first_1[SIDE-1:3] + (SIDE - 3)'(next_1), first_1[2:0]};
  wire signed [SIDE-1:0] left = $signed({2'b0, size}) - first;  // places up to the map's end
  wire [1:0] ahead = first[SIDE-1] ? -first[1:0] : 2'd0;
  wire [3:0] behind = left[SIDE-1] ? 4'd0 : |left[SIDE-2:3] ? 4'd8 : {1'b0, left[2:0]};
  always_ff @(posedge clk) begin
    for (int i = 0; i < ddi::kTile; i++) inside_2[i] <= i >= ahead && i < behind;
  end
endmodule

// Addresses of the four tiles that a block can touch: those outside the map give the channel's first.
module corners (
    input logic clk,
    input ddi::layer_t layer,
    input logic down_3, across_3, second_3,
    input logic [5:0] tile_row_3, tile_column_3,
    input logic [ddi::kTileAddressBits-1:0] row_words_3, channel_words_4,
    input logic word_5,
    input logic [ddi::kTileAddressBits-1:0] word_at_5,
    output logic [ddi::kTileAddressBits*4-1:0] at_6
);
  localparam int BITS = ddi::kTileAddressBits;
  wire up = layer.padding != 0;
  wire [BITS-1:0] columns = layer.in_columns, tiles = layer.in_tiles;
  logic [BITS-1:0] tile_4, pair_4, base_5;
  logic [7:0] row_4, column_4;
  always_ff @(posedge clk) begin
    row_4 <= {2'b0, tile_row_3} + down_3 - up;
    column_4 <= {2'b0, tile_column_3} + across_3 - up;
    tile_4 <= row_words_3 + (down_3 == up ? 0 : down_3 ? columns : -columns);
    pair_4 <= second_3 ? tiles : 0;
    base_5 <= layer.input_word + channel_words_4 + pair_4;
  end
  generate
    for (genvar i = 0; i < 2; i++) begin : g_rows
      for (genvar j = 0; j < 2; j++) begin : g_columns
        wire [7:0] row = row_4 + i, column = column_4 + j;
        logic there_5;
        logic [BITS-1:0] tile_5;
        always_ff @(posedge clk) begin
          there_5 <= row < layer.in_rows && column < layer.in_columns;  // one that is below zero is large
          tile_5 <= tile_4 + (i == 1 ? columns : 0) + {{(BITS - 8) {column[7]}}, column};
          at_6[BITS*(2*i+j)+:BITS] <= word_5 ? word_at_5 : there_5 ? base_5 + tile_5 : base_5;
        end
      end
    end
  endgenerate
endmodule
