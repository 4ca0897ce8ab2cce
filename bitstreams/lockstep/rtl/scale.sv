// Scale: a product and a shift, four cycles; twice the result, without the half that rounds, saturated to STAY bits.
// Requantise adds that half (hls/src/requantize.hpp).
module scale #(
    parameter int BITS = 25,
    parameter int STAY = 28
) (
    input logic clk,
    input logic signed [BITS-1:0] value,
    input logic signed [16:0] multiplier,
    input logic [5:0] shift_2,
    output logic signed [STAY-1:0] twice_4
);
  /* verilator no_inline_module */
  localparam int WIDE = BITS + 18;  // of twice the product
  logic signed [WIDE-2:0] product_1, product_2;
  logic signed [WIDE-1:0] coarse_3;
  logic [2:0] shift_3;
  wire signed [WIDE-1:0] twice_2 = {product_2, 1'b0};
  wire signed [WIDE-1:0] fine_3 = coarse_3 >>> shift_3;
  always_ff @(posedge clk) begin
    product_1 <= value * multiplier;
    product_2 <= product_1;
    coarse_3 <= twice_2 >>> {shift_2[5:3], 3'b0};
    shift_3 <= shift_2[2:0];
  end
  generate
    if (WIDE > STAY) begin : g_cut
      wire fits = &fine_3[WIDE-1:STAY-1] || !(|fine_3[WIDE-1:STAY-1]);
      always_ff @(posedge clk) twice_4 <= fits ? fine_3[STAY-1:0] : {fine_3[WIDE-1], {(STAY - 1) {!fine_3[WIDE-1]}}};
    end else begin : g_whole
      always_ff @(posedge clk) twice_4 <= fine_3;
    end
  endgenerate
endmodule

// The same, rounded half up, a cycle later.
module requantize #(
    parameter int BITS = 25,
    parameter int STAY = 28
) (
    input logic clk,
    input logic signed [BITS-1:0] value,
    input logic signed [16:0] multiplier,
    input logic [5:0] shift_2,
    output logic signed [STAY-1:0] result_5
);
  logic signed [STAY:0] twice_4;
  scale #(.BITS(BITS), .STAY(STAY + 1)) of_value (.clk, .value, .multiplier, .shift_2, .twice_4);
  wire signed [STAY+1:0] rounded = twice_4 + 1;
  always_ff @(posedge clk) result_5 <= rounded[STAY:1];
endmodule
