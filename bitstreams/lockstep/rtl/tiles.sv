// Tile memory: a bank for each pixel of a word, two ports each: A reads, B reads or writes. A bank takes its address in
// one cycle and has its byte in the next (hls/src/tile_memory.hpp).
module tiles (
    input logic clk,
    input logic [ddi::kTileAddressBits*ddi::kTilePixels-1:0] at_a, at_b,
    input logic [ddi::kTilePixels-1:0] write_b,
    input logic [8*ddi::kTilePixels-1:0] data_b,
    output logic [8*ddi::kTilePixels-1:0] read_a, read_b
);
  localparam int BITS = ddi::kTileAddressBits;
  generate
    for (genvar i = 0; i < ddi::kTilePixels; i++) begin : g_banks
      tile_bank bank (.clk, .at_a(at_a[BITS*i+:BITS]), .at_b(at_b[BITS*i+:BITS]), .write_b(write_b[i]),
                      .data_b(data_b[8*i+:8]), .read_a(read_a[8*i+:8]), .read_b(read_b[8*i+:8]));
    end
  endgenerate
endmodule

module tile_bank (
    input logic clk,
    input logic [ddi::kTileAddressBits-1:0] at_a, at_b,
    input logic write_b,
    input logic [7:0] data_b,
    output logic [7:0] read_a, read_b
);
  /* verilator no_inline_module */
  logic [7:0] memory[0:ddi::kTileWords-1];
  always_ff @(posedge clk) read_a <= memory[at_a];
  always_ff @(posedge clk) begin
    if (write_b) memory[at_b] <= data_b;
    else read_b <= memory[at_b];
  end
endmodule
