// Lists of active channels: mask 0 stands for all and is not stored. Two ports: the gather's, and the output channels'
// or a write of the front end's. An address comes in one cycle, the channel in the next (hls/src/masks.hpp).
module lists (
    input logic clk,
    input logic [1:0] in_mask, out_mask,
    input logic [ddi::kChannelBits-1:0] in_index, out_index,
    output logic [ddi::kIndexBits-1:0] in_channel, out_channel,  // a cycle later
    input logic write,
    input logic [12:0] write_at,
    input logic [ddi::kIndexBits-1:0] write_channel
);
  logic [ddi::kIndexBits-1:0] memory[0:(ddi::kMasks-1)*ddi::kMaxChannels-1];
  logic [ddi::kIndexBits-1:0] in_listed, out_listed, in_plain, out_plain;
  logic in_all, out_all;
  wire [1:0] in_list = in_mask - 1, out_list = out_mask - 1;
  wire [12:0] out_at = write ? write_at : {out_list, out_index[ddi::kIndexBits-1:0]};
  always_ff @(posedge clk) begin
    in_listed <= memory[{in_list, in_index[ddi::kIndexBits-1:0]}];
    out_listed <= memory[out_at];
    if (write) memory[out_at] <= write_channel;
    in_all <= in_mask == 0;
    out_all <= out_mask == 0;
    in_plain <= in_index[ddi::kIndexBits-1:0];
    out_plain <= out_index[ddi::kIndexBits-1:0];
  end
  assign in_channel = in_all ? in_plain : in_listed;
  assign out_channel = out_all ? out_plain : out_listed;
endmodule
