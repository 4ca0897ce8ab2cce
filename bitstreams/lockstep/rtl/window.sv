// Window: the pixels of an input channel under the multipliers, and those of the next one while they are read
// (hls/src/chip/window.hpp). Stage 8 has the banks' bytes, stage 9 the next window, stage 10 the one that is used.
module window (
    input logic clk,
    input ddi::layer_t layer,
    input ddi::read_t read_8,
    input ddi::multiply_t multiply_9,
    input logic [8*ddi::kTilePixels-1:0] bank_a_8, bank_b_8,
    input logic [ddi::kTile-1:0] rows_a_8, columns_a_8, rows_b_8, columns_b_8,
    output logic [8*ddi::kWindow*ddi::kWindow-1:0] next_9, now_10
);
  localparam int SIDE = ddi::kWindow;
  localparam int TAPS = ddi::kRowTaps;
  logic [8*ddi::kTilePixels-1:0] block_a, block_b;
  turn turn_a (.padding(layer.padding), .rows(rows_a_8), .columns(columns_a_8), .bank(bank_a_8), .block(block_a));
  turn turn_b (.padding(layer.padding), .rows(rows_b_8), .columns(columns_b_8), .bank(bank_b_8), .block(block_b));
  // Each byte under the multipliers has one choice of four.
  logic [8*SIDE*SIDE-1:0] now_then;
  logic [7:0] left, right, below, fresh;
  always_comb begin
    now_then = '0;
    {left, right, below, fresh} = '0;
    for (int y = 0; y < SIDE; y++) begin
      for (int x = 0; x < SIDE; x++) begin
        right = now_10[8*(SIDE*y+(x+TAPS)%SIDE)+:8];
        left = now_10[8*(SIDE*y+(x+SIDE-TAPS)%SIDE)+:8];
        below = now_10[8*(SIDE*((y+1)%SIDE)+x)+:8];
        fresh = next_9[8*(SIDE*y+x)+:8];
        now_then[8*(SIDE*y+x)+:8] = multiply_9.enters ? (multiply_9.second ? fresh : below)
                                                      : multiply_9.second ? left : right;
      end
    end
  end
  always_ff @(posedge clk) if (multiply_9.load || multiply_9.move) now_10 <= now_then;
  always_ff @(posedge clk) begin
    for (int y = 0; y < SIDE; y++) begin
      for (int x = 0; x < SIDE; x++) begin
        if (read_8.want_b && read_8.down_b == (y >= 8) && read_8.across_b == (x >= 8))
          next_9[8*(SIDE*y+x)+:8] <= block_b[8*(8*(y%8)+x%8)+:8];
        else if (read_8.want_a && read_8.down_a == (y >= 8) && read_8.across_a == (x >= 8))
          next_9[8*(SIDE*y+x)+:8] <= block_a[8*(8*(y%8)+x%8)+:8];
      end
    end
  end
endmodule

// The banks' bytes in their pixels' places, rows first; zero outside the map. Pixels are turned by at most three.
module turn (
    input logic [1:0] padding,
    input logic [ddi::kTile-1:0] rows, columns,
    input logic [8*ddi::kTilePixels-1:0] bank,
    output logic [8*ddi::kTilePixels-1:0] block
);
  /* verilator no_inline_module */
  logic [8*ddi::kTilePixels-1:0] turned;
  always_comb begin
    for (int y = 0; y < 8; y++)
      turned[64*y+:64] = padding == 0 ? bank[64*y+:64] : padding == 1 ? bank[64*((y+7)%8)+:64]
                         : padding == 2 ? bank[64*((y+6)%8)+:64] : bank[64*((y+5)%8)+:64];
    for (int y = 0; y < 8; y++) begin
      for (int x = 0; x < 8; x++)
        block[64*y+8*x+:8] = !(rows[y] && columns[x]) ? 8'd0
                             : padding == 0 ? turned[64*y+8*x+:8] : padding == 1 ? turned[64*y+8*((x+7)%8)+:8]
                             : padding == 2 ? turned[64*y+8*((x+6)%8)+:8] : turned[64*y+8*((x+5)%8)+:8];
    end
  end
endmodule
