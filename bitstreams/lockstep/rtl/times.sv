// Times: a product in LUTs, since the array needs the DSPs; the lowest bits of it, two cycles later.
module times #(
    parameter int A = 11,
    parameter int B = 11,
    parameter int OUT = 13
) (
    input logic clk,
    input logic [A-1:0] a,
    input logic [B-1:0] b,
    output logic [OUT-1:0] product
);
  /* verilator no_inline_module */
  localparam int GROUPS = (B + 2) / 3;
  logic [OUT*GROUPS-1:0] part, sums;
  logic [OUT-1:0] total;
  logic [3*GROUPS-1:0] padded;
  wire [OUT-1:0] wide = a;
  assign padded = {{(3 * GROUPS - B) {1'b0}}, b};
  generate
    for (genvar g = 0; g < GROUPS; g++) begin : g_parts  // three bits of b each
      wire [OUT-1:0] one = padded[3*g] ? wide : 0;
      wire [OUT-1:0] two = padded[3*g+1] ? wide << 1 : 0;
      wire [OUT-1:0] four = padded[3*g+2] ? wide << 2 : 0;
      assign part[OUT*g+:OUT] = (one + two + four) << (3 * g);
    end
  endgenerate
  always_comb begin
    total = '0;
    for (int g = 0; g < GROUPS; g++) total = total + sums[OUT*g+:OUT];
  end
  always_ff @(posedge clk) begin
    sums <= part;
    product <= total;
  end
endmodule
