// Maps: CONV's loop as hardware, a cycle for each iteration of MapCycles (hls/src/chip/layer.hpp): planner, gather,
// window, lanes, array, drain, and tile memory. Weights and rows of the table come on streams, from a fetch that may be
// late. The front end writes and reads tile memory and the lists while no layer runs.
//
// An iteration's work is done in stages, one a cycle, with no way back from them to the planner: so each memory is read
// and written in the stage in which its ports stand, in the C++'s order.
module maps (
    input logic clk,
    input logic start,  // with `layer`, which stays until `done` and for the stages behind
    input ddi::layer_t layer,
    input logic [ddi::kWeightPorts-1:0] weights_valid,
    output logic [ddi::kWeightPorts-1:0] weights_ready,
    input logic [64*ddi::kWeightPorts-1:0] weights,
    input logic table_valid,
    output logic table_ready,
    input logic [63:0] table_row,
    output logic done,
    output logic vector_valid,
    output logic [$clog2(ddi::kVectorWords)-1:0] vector_at,
    output logic signed [15:0] vector_value,
    // Of the front end: a word of tile memory, and an entry of a list.
    input logic host, host_write,
    input logic [ddi::kTileAddressBits-1:0] host_at,
    input logic [8*ddi::kTilePixels-1:0] host_data,
    output logic [8*ddi::kTilePixels-1:0] host_read,
    input logic list_write,
    input logic [12:0] list_at,
    input logic [ddi::kIndexBits-1:0] list_channel,
    // What a comparison sees.
    output ddi::place_t place,
    output logic [8*ddi::kWindow*ddi::kWindow-1:0] window_next, window_now,
    output logic [ddi::kSumWidth*ddi::kOutLanes*ddi::kTilePixels-1:0] sums, results,
    output logic [8*ddi::kTilePixels-1:0] identity,
    output logic [32*ddi::kMaxResults-1:0] pooled,
    output logic [ddi::kTilePixels-1:0] write_b,
    output logic [8*ddi::kTilePixels-1:0] data_b,
    output logic [ddi::kTileAddressBits*ddi::kTilePixels-1:0] at_b
);
  ddi::read_t read_0, read_8;
  ddi::multiply_t multiply_0, multiply_6, multiply_9, multiply_15;
  ddi::drain_t drain_0, drain_1, drain_9, drain_15, drain_21, drain_22, drain_24;
  ddi::list_t list_0, list_1;
  ddi::table_t biases_0, biases_15;
  ddi::rows_t rows_0, rows_7;
  planner control (.clk, .start, .layer, .weights_valid, .weights_ready, .weights, .table_valid, .table_ready, .table_row,
                   .place, .done, .read(read_0), .multiply(multiply_0), .drain(drain_0), .list(list_0),
                   .biases(biases_0), .rows(rows_0));
  delay #(.WIDTH($bits(read_0)), .N(8)) d_read (.clk, .d(read_0), .q(read_8));
  delay #(.WIDTH($bits(multiply_0)), .N(6)) d_multiply_6 (.clk, .d(multiply_0), .q(multiply_6));
  delay #(.WIDTH($bits(multiply_0)), .N(3)) d_multiply_9 (.clk, .d(multiply_6), .q(multiply_9));
  delay #(.WIDTH($bits(multiply_0)), .N(6)) d_multiply_15 (.clk, .d(multiply_9), .q(multiply_15));
  delay #(.WIDTH($bits(drain_0)), .N(1)) d_drain_1 (.clk, .d(drain_0), .q(drain_1));
  delay #(.WIDTH($bits(drain_0)), .N(8)) d_drain_9 (.clk, .d(drain_1), .q(drain_9));
  delay #(.WIDTH($bits(drain_0)), .N(6)) d_drain_15 (.clk, .d(drain_9), .q(drain_15));
  delay #(.WIDTH($bits(drain_0)), .N(6)) d_drain_21 (.clk, .d(drain_15), .q(drain_21));
  delay #(.WIDTH($bits(drain_0)), .N(1)) d_drain_22 (.clk, .d(drain_21), .q(drain_22));
  delay #(.WIDTH($bits(drain_0)), .N(2)) d_drain_24 (.clk, .d(drain_22), .q(drain_24));
  delay #(.WIDTH($bits(list_0)), .N(1)) d_list (.clk, .d(list_0), .q(list_1));
  delay #(.WIDTH($bits(biases_0)), .N(15)) d_biases (.clk, .d(biases_0), .q(biases_15));
  delay #(.WIDTH($bits(rows_0)), .N(7)) d_rows (.clk, .d(rows_0), .q(rows_7));

  logic [ddi::kIndexBits-1:0] in_channel_1, out_channel_1, channel_2;
  lists active (.clk, .in_mask(layer.in_mask), .out_mask(layer.out_mask), .in_index(read_0.index),
                .out_index(list_0.index), .in_channel(in_channel_1), .out_channel(out_channel_1),
                .write(list_write), .write_at(list_at), .write_channel(list_channel));
  // The group's output channels.
  logic [ddi::kIndexBits-1:0] group_channel[0:31];
  always_ff @(posedge clk) begin
    channel_2 <= group_channel[{drain_1.bank, drain_1.result}];
    if (list_1.write) group_channel[{list_1.bank, list_1.lane}] <= out_channel_1;
  end

  logic [ddi::kTileAddressBits*ddi::kTilePixels-1:0] at_a_7, at_b_7;
  logic [ddi::kTile-1:0] rows_a_8, columns_a_8, rows_b_8, columns_b_8;
  logic [8*ddi::kTilePixels-1:0] bank_a_8, bank_b_8, word_data_7, data_b_7, host_data_6, host_data_7;
  logic [ddi::kTilePixels-1:0] write_7, write_b_7;
  logic [8*ddi::kRowTaps*ddi::kMaxResults-1:0] taps_10;
  logic due_5, host_write_7;
  delay #(.WIDTH(1), .N(ddi::kWriteDelay + 5)) d_due (.clk, .d(drain_0.whole), .q(due_5));
  delay #(.WIDTH(1), .N(2)) d_host (.clk, .d(host && host_write), .q(host_write_7));
  delay #(.WIDTH(8 * ddi::kTilePixels), .N(2)) d_host_data (.clk, .d(host_data), .q(host_data_7));
  gather addresses (.clk, .layer, .read_0, .drain_0, .channel_1(in_channel_1), .drain_channel_2(channel_2), .due_5,
                    .host, .host_at, .at_a_7, .at_b_7, .rows_a_8, .columns_a_8, .rows_b_8, .columns_b_8);
  assign write_b_7 = host_write_7 ? '1 : write_7;
  assign data_b_7 = host_write_7 ? host_data_7 : word_data_7;
  tiles memory (.clk, .at_a(at_a_7), .at_b(at_b_7), .write_b(write_b_7), .data_b(data_b_7), .read_a(bank_a_8),
                .read_b(bank_b_8));
  window pixels (.clk, .layer, .read_8, .multiply_9, .bank_a_8, .bank_b_8, .rows_a_8, .columns_a_8, .rows_b_8,
                 .columns_b_8, .next_9(window_next), .now_10(window_now));
  lanes weight_lanes (.clk, .layer, .rows_7, .multiply_6, .taps_10);
  array multipliers (.clk, .start, .layer, .multiply_9, .multiply_15, .window_9(window_now), .taps_10, .sum_16(sums),
                     .result_16(results));
  drain requantizer (.clk, .layer, .drain_9, .drain_15, .drain_21, .drain_22, .drain_24, .biases_15,
                     .identity_8(read_8.identity), .bank_8(bank_a_8), .result_15(results), .channel_2,
                     .identity_9(identity), .write_7, .data_7(word_data_7), .pooled_25(pooled),
                     .vector_valid_30(vector_valid), .vector_at_30(vector_at), .vector_30(vector_value));
  assign host_read = bank_b_8;
  assign write_b = write_b_7;
  assign data_b = data_b_7;
  assign at_b = at_b_7;
endmodule  // maps
