// Pool: the bytes of each channel added up, and at its end requantised into vector memory (StorePool of
// hls/src/layer.hpp). Stage 22 has a row's values, stage 25 the channel's sum so far, stage 30 the vector's entry.
module pool (
    input logic clk,
    input ddi::layer_t layer,
    input ddi::drain_t drain_24,
    input logic [9*ddi::kDrain-1:0] values_22,
    input logic [ddi::kIndexBits-1:0] channel_2,
    output logic [32*ddi::kMaxResults-1:0] pooled_25,
    output logic vector_valid_30,
    output logic [$clog2(ddi::kVectorWords)-1:0] vector_at_30,
    output logic signed [15:0] vector_30
);
  localparam int BITS = 25;  // the pixels of the largest map: kMaxMap * kMaxMap * 255
  logic signed [9:0] pair_0, pair_1, pair_2, pair_3;  // stage 23
  logic signed [11:0] row_24;
  logic [BITS*ddi::kMaxResults-1:0] pooled;
  logic signed [BITS-1:0] sum_25;
  logic signed [BITS-1:0] before_24;
  wire signed [BITS-1:0] sum_24 = before_24 + row_24;
  always_comb begin
    before_24 = '0;
    for (int i = 0; i < ddi::kMaxResults; i++)
      if (drain_24.result == i && !drain_24.first) before_24 = pooled[BITS*i+:BITS];
  end
  always_ff @(posedge clk) begin
    pair_0 <= $signed(values_22[0+:9]) + $signed(values_22[9+:9]);
    pair_1 <= $signed(values_22[18+:9]) + $signed(values_22[27+:9]);
    pair_2 <= $signed(values_22[36+:9]) + $signed(values_22[45+:9]);
    pair_3 <= $signed(values_22[54+:9]) + $signed(values_22[63+:9]);
    row_24 <= (pair_0 + pair_1) + (pair_2 + pair_3);
    for (int i = 0; i < ddi::kMaxResults; i++)
      if (drain_24.busy && drain_24.result == i) pooled[BITS*i+:BITS] <= sum_24;
    sum_25 <= sum_24;
  end
  generate
    for (genvar i = 0; i < ddi::kMaxResults; i++) begin : g_pooled
      assign pooled_25[32*i+:32] = {{(32 - BITS) {pooled[BITS*i+BITS-1]}}, pooled[BITS*i+:BITS]};
    end
  endgenerate
  logic signed [27:0] scaled_30;
  requantize #(.BITS(BITS), .STAY(28)) of_pool (
      .clk, .value(sum_25), .multiplier(layer.pool_multiplier), .shift_2(layer.pool_shift), .result_5(scaled_30));
  assign vector_30 = scaled_30 > 32767 ? 16'h7fff : scaled_30 < -32768 ? 16'h8000 : scaled_30[15:0];
  logic [ddi::kIndexBits-1:0] channel_30;
  delay #(.WIDTH(ddi::kIndexBits), .N(28)) d_channel (.clk, .d(channel_2), .q(channel_30));
  delay #(.WIDTH(1), .N(6)) d_last (.clk, .d(drain_24.last && layer.pools), .q(vector_valid_30));
  assign vector_at_30 = layer.pool + channel_30;
endmodule
