// Delay: a value, N cycles later.
module delay #(
    parameter int WIDTH = 1,
    parameter int N = 1
) (
    input logic clk,
    input logic [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);
  generate
    if (N == 0) begin : g_none
      assign q = d;
    end else if (N == 1) begin : g_one
      always_ff @(posedge clk) q <= d;
    end else begin : g_more
      logic [WIDTH*N-1:0] line;
      always_ff @(posedge clk) line <= {line[WIDTH*(N-1)-1:0], d};
      assign q = line[WIDTH*N-1-:WIDTH];
    end
  endgenerate
endmodule
