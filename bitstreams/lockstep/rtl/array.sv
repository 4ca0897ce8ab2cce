// Array: three taps a cycle for each pixel of a tile and two output channels (hls/src/chip/array.hpp). Stage 9 has the
// window and stage 10 the operands, stage 15 their products' sum, stage 16 the sums.
module array (
    input logic clk,
    input logic start,
    input ddi::layer_t layer,
    input ddi::multiply_t multiply_9, multiply_15,
    input logic [8*ddi::kWindow*ddi::kWindow-1:0] window_9,
    input logic [8*ddi::kRowTaps*ddi::kMaxResults-1:0] taps_10,
    output logic [ddi::kSumWidth*ddi::kOutLanes*ddi::kTilePixels-1:0] sum_16, result_16  // lane, pixel
);
  localparam int W = ddi::kSumWidth;
  localparam int LANE = W * ddi::kTilePixels;
  localparam int BITS = 8 * ddi::kRowTaps;
  // The cascade of DSPs takes each tap a cycle behind the one before.
  logic [BITS*ddi::kMaxResults-1:0] taps_11, taps_12;
  always_ff @(posedge clk) begin
    taps_11 <= taps_10;
    taps_12 <= taps_11;
  end
  logic [9*ddi::kRowTaps*ddi::kTilePixels-1:0] pixels_9, pixels_10;  // pixel, tap
  always_ff @(posedge clk) pixels_10 <= pixels_9;
  operands places (.layer, .low_half(multiply_9.low_half), .right_half(multiply_9.right_half), .window(window_9),
                   .pixels(pixels_9));
  generate
    for (genvar p = 0; p < ddi::kTilePixels; p++) begin : g_pixels
      localparam int LOW = BITS * 2 * (p / ddi::kPartPixels);
      localparam int HIGH = LOW + BITS;
      packed_taps taps (.clk, .clear(start), .take_15(multiply_15.take), .hand_over_15(multiply_15.hand_over),
          .pixels_10(pixels_10[9*ddi::kRowTaps*p+:9*ddi::kRowTaps]),
          .low({taps_12[LOW+16+:8], taps_11[LOW+8+:8], taps_10[LOW+:8]}),
          .high({taps_12[HIGH+16+:8], taps_11[HIGH+8+:8], taps_10[HIGH+:8]}),
          .odd_high({taps_10[HIGH+16], taps_10[HIGH+8], taps_10[HIGH]}),
          .sum_low(sum_16[W*p+:W]), .sum_high(sum_16[LANE+W*p+:W]),
          .result_low(result_16[W*p+:W]), .result_high(result_16[LANE+W*p+:W]));
    end
  endgenerate
endmodule

// The pixel under each tap of each multiplier, as a number with a sign.
module operands (
    input ddi::layer_t layer,
    input logic low_half, right_half,
    input logic [8*ddi::kWindow*ddi::kWindow-1:0] window,
    output logic [9*ddi::kRowTaps*ddi::kTilePixels-1:0] pixels
);
  localparam int SIDE = ddi::kWindow;
  localparam int PART = ddi::kPart;
  logic [7:0] pixel;
  always_comb begin
    pixels = '0;
    pixel = '0;
    for (int p = 0; p < ddi::kTilePixels; p++) begin
      for (int t = 0; t < ddi::kRowTaps; t++) begin
        if (!layer.by_parts)
          pixel = t == 1 && layer.paired ? window[8*(SIDE*(p/8)+p%8+8)+:8] : window[8*(SIDE*(p/8)+p%8+t)+:8];
        else if (layer.stride2) pixel = window[8*(SIDE*2*(p%16/4)+2*(p%4)+t)+:8];
        else if (low_half)
          pixel = right_half ? window[8*(SIDE*(p%16/4+PART)+p%4+PART+t)+:8] : window[8*(SIDE*(p%16/4+PART)+p%4+t)+:8];
        else pixel = right_half ? window[8*(SIDE*(p%16/4)+p%4+PART+t)+:8] : window[8*(SIDE*(p%16/4)+p%4+t)+:8];
        pixels[9*(ddi::kRowTaps*p+t)+:9] = {layer.in_signed && pixel[7], pixel};
      end
    end
  end
endmodule

// Three taps of two output channels by three DSP48E1: pre-adder, multiplier, and the adder behind along the cascade
// (hls/src/packing.hpp); then the sums of a pixel. Weights of tap t come at stage 10 + t.
module packed_taps (
    input logic clk,
    input logic clear,
    input logic take_15, hand_over_15,
    input logic [9*ddi::kRowTaps-1:0] pixels_10,
    input logic [8*ddi::kRowTaps-1:0] low, high,
    input logic [ddi::kRowTaps-1:0] odd_high,
    output logic signed [ddi::kSumWidth-1:0] sum_low, sum_high, result_low, result_high
);
  /* verilator no_inline_module */
  localparam int SHIFT = ddi::kPackShift;
  logic signed [24:0] pair_0, pair_1, pair_2;
  logic signed [8:0] pixel_0, pixel_1, pixel_2, pixel_1_11, pixel_2_11, pixel_2_12;
  logic signed [33:0] product_0, product_1, product_2;
  logic signed [47:0] sum_13, sum_14, sum_15;
  wire odd_10 = odd_high[0] & pixels_10[0] ^ odd_high[1] & pixels_10[9] ^ odd_high[2] & pixels_10[18];
  logic odd_15;
  delay #(.WIDTH(1), .N(5)) d_odd (.clk, .d(odd_10), .q(odd_15));
  wire signed [24:0] high_0 = {high[7:0], 17'b0}, high_1 = {high[15:8], 17'b0}, high_2 = {high[23:16], 17'b0};
  always_ff @(posedge clk) begin
    pair_0 <= high_0 + $signed(low[7:0]);
    pair_1 <= high_1 + $signed(low[15:8]);
    pair_2 <= high_2 + $signed(low[23:16]);
    pixel_0 <= pixels_10[8:0];
    pixel_1_11 <= pixels_10[17:9];
    pixel_1 <= pixel_1_11;
    pixel_2_11 <= pixels_10[26:18];
    pixel_2_12 <= pixel_2_11;
    pixel_2 <= pixel_2_12;
    product_0 <= pair_0 * pixel_0;
    product_1 <= pair_1 * pixel_1;
    product_2 <= pair_2 * pixel_2;
    sum_13 <= product_0;
    sum_14 <= sum_13 + product_1;
    sum_15 <= sum_14 + product_2;
  end
  wire carry_15 = sum_15[SHIFT] ^ odd_15;
  wire signed [17:0] low_15 = {carry_15, sum_15[SHIFT-1:0]};
  wire signed [17:0] high_15 = sum_15[SHIFT+:18];
  wire carry = carry_15 && take_15;
  wire signed [17:0] high_taken = take_15 ? high_15 : 18'sd0;
  wire signed [ddi::kSumWidth-1:0] low_then = sum_low + (take_15 ? low_15 : 18'sd0);
  // The carry comes in as a bit below, where it is added to itself: one chain.
  wire signed [ddi::kSumWidth:0] high_wide = $signed({sum_high, carry}) + $signed({high_taken, carry});
  wire signed [ddi::kSumWidth-1:0] high_then = high_wide[ddi::kSumWidth:1];
  always_ff @(posedge clk) begin
    sum_low <= clear || hand_over_15 ? '0 : low_then;
    sum_high <= clear || hand_over_15 ? '0 : high_then;
    if (clear || hand_over_15) begin
      result_low <= clear ? '0 : low_then;
      result_high <= clear ? '0 : high_then;
    end
  end
endmodule
