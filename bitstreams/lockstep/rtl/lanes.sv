// Lanes: the weights of eight output channels, of two groups, and the taps that are multiplied next
// (hls/src/chip/lanes.hpp). Stage 7 has addresses, stage 8 two words of each lane, stage 10 the taps of each part.
module lanes (
    input logic clk,
    input ddi::layer_t layer,
    input ddi::rows_t rows_7,
    input ddi::multiply_t multiply_6,
    output logic [8*ddi::kRowTaps*ddi::kMaxResults-1:0] taps_10  // of part p and lane l at 2 * p + l
);
  localparam int BITS = 8 * ddi::kRowTaps;
  localparam int AT = $clog2(ddi::kLaneDepth);
  ddi::multiply_t multiply_7, multiply_8;
  logic [AT-1:0] even_7, odd_7;
  logic [1:0] valid_9;
  wire [ddi::kLaneByteBits-3:0] word_6 = multiply_6.at[ddi::kLaneByteBits-1:2];
  wire [ddi::kLaneByteBits-3:0] behind_6 = word_6 + 1;
  logic [BITS*ddi::kMaxResults-1:0] read_9;
  always_ff @(posedge clk) begin
    multiply_7 <= multiply_6;
    multiply_8 <= multiply_7;
    valid_9 <= multiply_8.valid;
    even_7 <= behind_6[AT:1];
    odd_7 <= word_6[AT:1];
  end
  generate
    for (genvar i = 0; i < ddi::kMaxResults; i++) begin : g_lanes
      localparam int PORT = i % ddi::kWeightPorts;
      localparam int TURN = i / ddi::kWeightPorts;
      wire mine = rows_7.write && rows_7.turn == TURN;
      logic [31:0] even_8, odd_8;
      lane_half even (.clk, .write(mine), .write_at({rows_7.bank, rows_7.at[AT-1:0]}),
                      .data(rows_7.words[64*PORT+:32]), .at({multiply_7.bank, even_7}), .read(even_8));
      lane_half odd (.clk, .write(mine), .write_at({rows_7.bank, rows_7.at[AT-1:0]}),
                     .data(rows_7.words[64*PORT+32+:32]), .at({multiply_7.bank, odd_7}), .read(odd_8));
      wire [63:0] both = multiply_8.at[2] ? {even_8, odd_8} : {odd_8, even_8};
      always_ff @(posedge clk) read_9[BITS*i+:BITS] <= both[8*multiply_8.at[1:0]+:BITS];
    end
    for (genvar i = 0; i < ddi::kMaxResults; i++) begin : g_parts
      for (genvar t = 0; t < ddi::kRowTaps; t++) begin : g_taps
        wire [7:0] byte_9 = layer.by_parts ? read_9[BITS*i+8*t+:8] : read_9[BITS*(i%2)+8*t+:8];
        wire [7:0] weight_9 = byte_9 == 8'h80 ? 8'h81 : byte_9;  // -128 counts as -127
        always_ff @(posedge clk) taps_10[BITS*i+8*t+:8] <= t < valid_9 ? weight_9 : 8'd0;
      end
    end
  endgenerate
endmodule

// Every second word of a lane.
module lane_half (
    input logic clk,
    input logic write,
    input logic [$clog2(ddi::kLaneDepth):0] write_at, at,
    input logic [31:0] data,
    output logic [31:0] read
);
  /* verilator no_inline_module */
  logic [31:0] memory[0:2*ddi::kLaneDepth-1];
  always_ff @(posedge clk) begin
    if (write) memory[write_at] <= data;
    read <= memory[at];
  end
endmodule
