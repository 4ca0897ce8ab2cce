// Drain: the sums of the step before become bytes, eight pixels a cycle, and these a word that port B writes
// (hls/src/chip/drain.hpp). Stage 15 has the sums, stage 22 the bytes; port B needs them kWriteDelay cycles after its
// own stage 6, which is the same one.
module drain (
    input logic clk,
    input ddi::layer_t layer,
    input ddi::drain_t drain_9, drain_15, drain_21, drain_22, drain_24,
    input ddi::table_t biases_15,
    input logic identity_8,
    input logic [8*ddi::kTilePixels-1:0] bank_8,
    input logic [ddi::kSumWidth*ddi::kOutLanes*ddi::kTilePixels-1:0] result_15,
    input logic [ddi::kIndexBits-1:0] channel_2,
    output logic [8*ddi::kTilePixels-1:0] identity_9,
    output logic [ddi::kTilePixels-1:0] write_7,
    output logic [8*ddi::kTilePixels-1:0] data_7,
    output logic [32*ddi::kMaxResults-1:0] pooled_25,
    output logic vector_valid_30,
    output logic [$clog2(ddi::kVectorWords)-1:0] vector_at_30,
    output logic signed [15:0] vector_30
);
  localparam int W = ddi::kSumWidth;
  localparam int ROW = W * ddi::kDrain;

  // Bias and scale of the channel.
  logic [63:0] table_memory[0:31];
  logic [63:0] table_16;
  logic signed [16:0] multiplier_17;
  logic [5:0] shift_17, shift_19;
  always_ff @(posedge clk) begin
    table_16 <= table_memory[{drain_15.bank, drain_15.result}];
    if (biases_15.write) table_memory[{biases_15.bank, biases_15.lane}] <= biases_15.row;
    multiplier_17 <= table_16[63] ? -$signed({1'b0, table_16[47:32]}) : $signed({1'b0, table_16[47:32]});
    shift_17 <= table_16[53:48];
  end
  delay #(.WIDTH(6), .N(2)) d_shift (.clk, .d(shift_17), .q(shift_19));

  always_ff @(posedge clk) if (identity_8) identity_9 <= bank_8;
  logic [ROW-1:0] plain_15, plain_16;
  wire [3:0] row_15 = {drain_15.result[0], layer.by_parts ? {drain_15.result[2:1], drain_15.block[0]} : drain_15.block};
  choose_16 #(.WIDTH(ROW)) of_rows (.from(result_15), .which(row_15), .chosen(plain_15));
  always_ff @(posedge clk) plain_16 <= plain_15;

  // Eight pixels side by side.
  logic [8*ddi::kDrain-1:0] bytes_22;
  logic [9*ddi::kDrain-1:0] values_22;  // what the pool adds up
  generate
    for (genvar i = 0; i < ddi::kDrain; i++) begin : g_pixels
      // The identity's pixel.
      wire [2:0] down_9 = layer.by_parts ? {drain_9.row[2], drain_9.block[0], 1'(i / 4)} : drain_9.block;
      wire right_9 = layer.by_parts ? drain_9.column[2] : i >= 4;
      wire [7:0] byte_9;
      wire [8*16-1:0] bytes_9;  // of each row, one in either half
      for (genvar y = 0; y < 8; y++) begin : g_rows
        assign bytes_9[16*y+:16] = {identity_9[64*y+8*(4+i%4)+:8], identity_9[64*y+8*(i%4)+:8]};
      end
      choose_16 #(.WIDTH(8)) of_word (.from(bytes_9), .which({down_9, right_9}), .chosen(byte_9));
      logic signed [8:0] byte_10;
      logic signed [24:0] added_15, added_21;
      always_ff @(posedge clk) byte_10 <= {layer.add_signed && byte_9[7], byte_9};
      requantize #(.BITS(9), .STAY(25)) of_identity (
          .clk, .value(byte_10), .multiplier(layer.identity_multiplier),
          .shift_2(layer.identity_shift), .result_5(added_15));
      delay #(.WIDTH(25), .N(6)) d_added (.clk, .d(layer.add ? added_15 : 25'd0), .q(added_21));

      // Bias, saturation to what a DSP takes, scale, identity, clamp.
      wire signed [32:0] sum_16 = $signed(plain_16[W*i+:W]) + $signed(table_16[31:0]);
      wire fits = &sum_16[32:ddi::kSumBits-1] || !(|sum_16[32:ddi::kSumBits-1]);
      logic signed [ddi::kSumBits-1:0] sum_17;
      logic signed [27:0] scaled_21;
      always_ff @(posedge clk)
        sum_17 <= fits ? sum_16[ddi::kSumBits-1:0] : {sum_16[32], {(ddi::kSumBits - 1) {!sum_16[32]}}};
      scale #(.BITS(ddi::kSumBits), .STAY(28)) of_sum (
          .clk, .value(sum_17), .multiplier(multiplier_17), .shift_2(shift_19), .twice_4(scaled_21));
      wire signed [29:0] twice_21 = scaled_21 + $signed({added_21, 1'b1});
      wire signed [28:0] whole_21 = twice_21[29:1];
      wire low_21 = layer.relu ? whole_21 < 0 : whole_21 < -128;
      wire high_21 = layer.relu ? whole_21 > 255 : whole_21 > 127;
      wire [7:0] byte_21 = low_21 ? (layer.relu ? 8'd0 : 8'h80) : high_21 ? (layer.relu ? 8'd255 : 8'd127)
                                                                            : whole_21[7:0];
      wire [2:0] down_21 = layer.by_parts ? {drain_21.row[2], drain_21.block[0], 1'(i / 4)} : drain_21.block;
      wire [2:0] across_21 = layer.by_parts ? {drain_21.column[2], 2'(i % 4)} : 3'(i);
      wire there_21 = {drain_21.row[ddi::kSideBits-1:3], down_21} < layer.out_height &&
                      {drain_21.column[ddi::kSideBits-1:3], across_21} < layer.out_width;
      always_ff @(posedge clk) begin
        bytes_22[8*i+:8] <= byte_21;
        values_22[9*i+:9] <= there_21 ? {!layer.relu && byte_21[7], byte_21} : 9'd0;
      end
    end
  endgenerate

  pool of_map (.clk, .layer, .drain_24, .values_22, .channel_2, .pooled_25, .vector_valid_30, .vector_at_30,
               .vector_30);

  // The word that the row due belongs to, at stage 6 of the port: its row, or the two lines that a part has of it, which
  // stand in all four parts.
  logic [8*ddi::kTilePixels-1:0] word_7;
  logic [8*2*ddi::kTile-1:0] lines_22;
  logic [ddi::kTile-1:0] rows_22, columns_22, mine_down, mine_across, fills;
  always_comb begin
    for (int i = 0; i < ddi::kTile; i++) begin
      mine_down[i] = !layer.by_parts || (i >= 4) == drain_22.row[2];
      mine_across[i] = !layer.by_parts || (i >= 4) == drain_22.column[2];
      fills[i] = drain_22.busy && drain_22.block == (layer.by_parts ? i % 4 / 2 : i);
    end
    for (int i = 0; i < 2 * ddi::kTile; i++)
      lines_22[8*i+:8] = layer.by_parts ? bytes_22[8*(i/8*4+i%4)+:8] : bytes_22[8*(i%8)+:8];
  end
  always_ff @(posedge clk) begin
    for (int i = 0; i < ddi::kTile; i++) begin
      rows_22[i] <= {drain_21.row[ddi::kSideBits-1:3], 3'(i)} < layer.out_height;
      columns_22[i] <= {drain_21.column[ddi::kSideBits-1:3], 3'(i)} < layer.out_width;
    end
    for (int i = 0; i < ddi::kTilePixels; i++) begin
      if (fills[i/8]) word_7[8*i+:8] <= lines_22[8*(i/8%2*8+i%8)+:8];
      write_7[i] <= drain_22.whole &&
                    (!(rows_22[i/8] && columns_22[i%8]) || (mine_down[i/8] && mine_across[i%8]));
      data_7[8*i+:8] <= !(rows_22[i/8] && columns_22[i%8]) ? 8'd0
                        : fills[i/8] ? lines_22[8*(i/8%2*8+i%8)+:8] : word_7[8*i+:8];
    end
  end
endmodule

// One of sixteen, by the bits of its number: a tree, and no row of comparisons.
module choose_16 #(
    parameter int WIDTH = 8
) (
    input logic [16*WIDTH-1:0] from,
    input logic [3:0] which,
    output logic [WIDTH-1:0] chosen
);
  wire [8*WIDTH-1:0] eight = which[3] ? from[8*WIDTH+:8*WIDTH] : from[0+:8*WIDTH];
  wire [4*WIDTH-1:0] four = which[2] ? eight[4*WIDTH+:4*WIDTH] : eight[0+:4*WIDTH];
  wire [2*WIDTH-1:0] two = which[1] ? four[2*WIDTH+:2*WIDTH] : four[0+:2*WIDTH];
  assign chosen = which[0] ? two[WIDTH+:WIDTH] : two[0+:WIDTH];
endmodule
