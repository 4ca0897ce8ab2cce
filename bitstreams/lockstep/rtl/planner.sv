// Planner: the control of CONV's loop. What MapCycle of hls/src/chip/layer.hpp decides in an iteration, it decides in a
// cycle; the stages behind it do what it says and never hold it up. Its registers are the C++'s places, by name, and
// flags that say at the start of a cycle what a comparison would say too late in it. Groups that are compared are at
// most two apart: two bits tell.
module planner (
    input logic clk,
    input logic start,
    input ddi::layer_t layer,
    input logic [ddi::kWeightPorts-1:0] weights_valid,
    output logic [ddi::kWeightPorts-1:0] weights_ready,
    input logic [64*ddi::kWeightPorts-1:0] weights,
    input logic table_valid,
    output logic table_ready,
    input logic [63:0] table_row,
    output ddi::place_t place,
    output logic done,
    output ddi::read_t read,
    output ddi::multiply_t multiply,
    output ddi::drain_t drain,
    output ddi::list_t list,
    output ddi::table_t biases,
    output ddi::rows_t rows
);
  ddi::place_t now, then;
  assign place = now;

  typedef struct packed {
    logic multiply_end, multiply_last;  // behind the last group, in it
    logic multiply_done, last_input;    // no input channel is left for the step, one is
    logic gather_end, gather_last_input;
    logic list_end, list_last, table_last, fetch_end, fetch_last;
    logic drain_last;                   // group
    logic word_ends, last_result;       // the drain's word, with this cycle; its group's last channel
  } flags_t;
  flags_t flag, flag_then;
  assign done = flag.multiply_end && !now.drain_busy && now.late == 0;

  // Rows of pixels on their way to their words, the youngest first: is there one, and is it the last of its word?
  logic [ddi::kWriteDelay-1:0] late_full, late_last;
  wire due_full = late_full[ddi::kWriteDelay-1];
  wire due_last = late_last[ddi::kWriteDelay-1];

  // What a layer's numbers come to.
  wire [ddi::kResultBits-1:0] full_ends = layer.channels - 1, last_ends = layer.last - 1;
  wire [1:0] full_turn = full_ends >= 2 * ddi::kWeightPorts ? 2 : full_ends >= ddi::kWeightPorts ? 1 : 0;
  wire [1:0] last_group_turn = last_ends >= 2 * ddi::kWeightPorts ? 2 : last_ends >= ddi::kWeightPorts ? 1 : 0;
  wire [ddi::kResultBits-1:0] full_left = layer.channels - ddi::kWeightPorts * full_turn;  // rows of the last turn
  wire [ddi::kResultBits-1:0] last_left = layer.last - ddi::kWeightPorts * last_group_turn;
  wire [4:0] last_beat = layer.beat - 1;
  wire [3:0] word_before = layer.drain_blocks - 2;
  wire [ddi::kKernelBits-1:0] last_taps = layer.kernel > 2 * ddi::kRowTaps ? 2 * ddi::kRowTaps
                                          : layer.kernel > ddi::kRowTaps ? ddi::kRowTaps : 0;
  wire [ddi::kChannelBits-1:0] before_last = layer.groups - 2, before_last_input = layer.inputs - 2;

  // Gather: port A reads unless the identity needs it, port B unless a word is due.
  wire identity = now.drain_busy && layer.add && now.drain_block == 0;
  wire gathers = !flag.gather_end && !now.gather_whole;
  wire two_across = layer.paired || layer.two_blocks;
  wire wraps_a = now.gather_across[0] == two_across;
  wire ends_a = wraps_a && now.gather_down[0] == layer.two_blocks;
  wire read_a = gathers && !identity;
  wire across_a = read_a ? !wraps_a : now.gather_across[0];
  wire down_a = read_a && wraps_a ? !ends_a : now.gather_down[0];
  wire whole_a = read_a && ends_a;
  wire wraps_b = across_a == two_across;
  wire ends_b = wraps_b && down_a == layer.two_blocks;
  wire read_b = gathers && !whole_a && !due_last;
  wire whole_b = read_b && ends_b;
  wire gathered = now.gather_whole || whole_a || whole_b;

  // Multiply.
  wire computes = !flag.multiply_end && !flag.multiply_done;
  wire taken = now.multiply_beat >= layer.taps;
  wire has_weights = now.fetch_group[1:0] != now.multiply_group[1:0] || now.fetch_ready >= now.multiply_row_end;
  wire moves = computes && now.multiply_loaded && (taken || has_weights);
  wire backwards = now.multiply_tap_row[0];
  wire row_ends = now.multiply_tap_column == (backwards ? 0 : last_taps);
  wire channel_ends = moves && now.multiply_beat == last_beat;
  wire loads = gathered && ((computes && !now.multiply_loaded) || channel_ends);
  wire step_ends = !flag.multiply_end && (flag.multiply_done || (channel_ends && flag.last_input));
  wire [ddi::kLaneByteBits-1:0] first_row = layer.paired ? 2 : layer.kernel;
  wire [ddi::kLaneByteBits-1:0] filter = now.multiply_filter + (layer.paired ? 2 : layer.filter_bytes);

  // Drain.
  wire busy = now.drain_busy && !(flag.word_ends && flag.last_result);
  wire [1:0] table_ahead = now.table_group[1:0] - now.multiply_group[1:0];
  wire [1:0] list_ahead = now.list_group[1:0] - now.multiply_group[1:0];
  wire has_table = table_ahead != 0;  // of all of the group's channels, which are listed then
  wire hands_over = step_ends && !busy && has_table;

  // List, a group ahead of the one that is computed then.
  logic [ddi::kSideBits-1:0] multiply_row, multiply_column, gather_row, gather_column;
  logic next_group, gather_next_group;
  next_step after_multiply (.layer, .row(now.multiply_row), .column(now.multiply_column), .row_then(multiply_row),
                            .column_then(multiply_column), .map_ends(next_group));
  next_step after_gather (.layer, .row(now.gather_row), .column(now.gather_column), .row_then(gather_row),
                          .column_then(gather_column), .map_ends(gather_next_group));
  wire lists = !flag.list_end && list_ahead != 2;
  wire list_ends = now.list_channel == (flag.list_last ? last_ends : full_ends);

  // Table and rows of weights, of channels that are listed: before this cycle, or with the one that it lists.
  wire table_differs = now.list_group[1:0] != now.table_group[1:0];
  wire table_before = table_differs || now.list_channel > now.table_channel;
  wire table_with = table_differs || now.list_channel >= now.table_channel;
  wire table_listed = lists ? table_with : table_before;
  wire table_ends = now.table_channel == (flag.table_last ? last_ends : full_ends);
  wire [ddi::kResultBits-1:0] fetch_channels = flag.fetch_last ? layer.last : layer.channels;
  wire last_turn = now.fetch_turn == (flag.fetch_last ? last_group_turn : full_turn);
  wire [ddi::kResultBits-1:0] needed = last_turn ? fetch_channels : ddi::kWeightPorts * (now.fetch_turn + 1);
  wire rows_differ = now.list_group[1:0] != now.fetch_group[1:0];
  wire rows_before = rows_differ || now.list_channel >= needed;
  wire rows_with = rows_differ || now.list_channel + 1 >= needed;
  logic [ddi::kWeightPorts-1:0] used;
  always_comb for (int i = 0; i < ddi::kWeightPorts; i++)
    used[i] = !last_turn || i < (flag.fetch_last ? last_left : full_left);
  wire rows_here = !start && !flag.fetch_end && layer.has_rows &&
                   (weights_valid | ~used) == {ddi::kWeightPorts{1'b1}};
  wire takes_rows = rows_here && (lists ? rows_with : rows_before);
  wire [ddi::kLaneWordBits-1:0] fetch_at = now.fetch_chunk + now.fetch_size - now.fetch_left;
  wire chunk_ends = now.fetch_left == 1;
  wire fetch_ends = chunk_ends && last_turn && now.fetch_rest == 0;
  wire [ddi::kBurstBits-1:0] first_size =
      layer.fetch_words > ddi::kBurstWords ? ddi::kBurstWords : layer.fetch_words;
  wire [ddi::kBurstBits-1:0] size = now.fetch_rest > ddi::kBurstWords ? ddi::kBurstWords : now.fetch_rest;
  assign weights_ready = takes_rows ? used : '0;
  assign table_ready = table_listed && table_valid && !start;

  always_comb begin
    then = now;
    then.gather_across = whole_b ? 0 : read_b ? !wraps_b : across_a;
    then.gather_down = whole_b ? 0 : read_b && wraps_b ? 1'b1 : down_a;
    then.gather_whole = gathered && !loads;
    if (whole_a || whole_b) begin
      then.gather_input = now.gather_input + 1;
      if (flag.gather_last_input) begin
        then.gather_input = 0;
        then.gather_row = gather_row;
        then.gather_column = gather_column;
        then.gather_group = now.gather_group + gather_next_group;
      end
    end

    if (moves) begin
      then.multiply_beat = now.multiply_beat + 1;
      if (row_ends) begin
        then.multiply_tap_row = now.multiply_tap_row + 1;
        then.multiply_row_end = now.multiply_row_end + layer.kernel;
      end else if (backwards) then.multiply_tap_column = now.multiply_tap_column - ddi::kRowTaps;
      else then.multiply_tap_column = now.multiply_tap_column + ddi::kRowTaps;
    end
    if (channel_ends) begin
      then.multiply_beat = 0;
      then.multiply_tap_row = 0;
      then.multiply_tap_column = 0;
      then.multiply_filter = filter;
      then.multiply_row_end = filter + first_row;
      then.multiply_input = now.multiply_input + 1;
      then.multiply_loaded = 0;
    end
    if (loads) then.multiply_loaded = 1;
    if (hands_over) begin
      then.multiply_input = 0;
      then.multiply_filter = 0;
      then.multiply_row_end = first_row;
      then.multiply_row = multiply_row;
      then.multiply_column = multiply_column;
      then.multiply_group = now.multiply_group + next_group;
    end

    then.late = now.late + now.drain_busy - due_full;
    if (now.drain_busy) begin
      then.drain_block = flag.word_ends ? 0 : now.drain_block + 1;
      then.drain_result = now.drain_result + flag.word_ends;
      then.drain_busy = busy;
    end
    if (hands_over) begin
      then.drain_busy = 1;
      then.drain_row = now.multiply_row;
      then.drain_column = now.multiply_column;
      then.drain_group = now.multiply_group;
      then.drain_result = 0;
    end

    if (lists) begin
      then.list_channel = list_ends ? 0 : now.list_channel + 1;
      if (list_ends) begin
        then.list_group = now.list_group + 1;
        then.list_first = now.list_first + layer.channels;
      end
    end
    if (start) begin
      then = '0;
      then.multiply_row_end = first_row;
      then.fetch_size = first_size;
      then.fetch_left = first_size;
      then.fetch_rest = layer.fetch_words - first_size;
    end
  end

  ddi::place_t last;  // with the table and the rows, which follow the list
  always_comb begin
    last = then;
    if (table_ready) begin
      last.table_channel = table_ends ? 0 : now.table_channel + 1;
      if (table_ends) last.table_group = now.table_group + 1;
    end
    if (takes_rows) begin
      if (last_turn) last.fetch_ready = {fetch_at + 1'b1, 3'b0};
      last.fetch_left = now.fetch_left - 1;
      if (chunk_ends) begin
        last.fetch_turn = last_turn ? 0 : now.fetch_turn + 1;
        last.fetch_left = last_turn ? size : now.fetch_size;
        if (last_turn) begin
          last.fetch_chunk = now.fetch_chunk + now.fetch_size;
          last.fetch_size = size;
          last.fetch_rest = now.fetch_rest - size;
        end
      end
      if (fetch_ends) begin
        last.fetch_group = now.fetch_group + 1;
        last.fetch_chunk = 0;
        last.fetch_size = first_size;
        last.fetch_left = first_size;
        last.fetch_rest = layer.fetch_words - first_size;
        last.fetch_ready = 0;
      end
    end
    if (start) last = then;
  end

  // The flags of the cycle behind this one.
  always_comb begin
    flag_then = flag;
    if (hands_over && next_group) begin
      flag_then.multiply_end = flag.multiply_last;
      flag_then.multiply_last = now.multiply_group == before_last;
    end
    if (channel_ends) begin
      flag_then.multiply_done = flag.last_input;
      flag_then.last_input = now.multiply_input == before_last_input;
    end
    if (hands_over) begin
      flag_then.multiply_done = layer.inputs == 0;
      flag_then.last_input = layer.inputs == 1;
      flag_then.drain_last = flag.multiply_last;
    end
    if (whole_a || whole_b) begin
      flag_then.gather_last_input = flag.gather_last_input ? layer.inputs == 1
                                                           : now.gather_input == before_last_input;
      if (flag.gather_last_input && gather_next_group)
        flag_then.gather_end = now.gather_group + 1 == layer.groups;
    end
    if (lists && list_ends) begin
      flag_then.list_end = flag.list_last;
      flag_then.list_last = now.list_group == before_last;
    end
    if (table_ready && table_ends) flag_then.table_last = now.table_group == before_last;
    if (takes_rows && fetch_ends) begin
      flag_then.fetch_end = flag.fetch_last;
      flag_then.fetch_last = now.fetch_group == before_last;
    end
    flag_then.word_ends = now.drain_busy && !flag.word_ends && now.drain_block == word_before;
    if (now.drain_busy && flag.word_ends)
      flag_then.last_result = now.drain_result + 1 == (flag.drain_last ? last_ends : full_ends);
    if (hands_over) flag_then.last_result = (flag.multiply_last ? last_ends : full_ends) == 0;
    if (start) begin
      flag_then = '0;
      flag_then.multiply_last = layer.groups == 1;
      flag_then.list_last = layer.groups == 1;
      flag_then.table_last = layer.groups == 1;
      flag_then.fetch_last = layer.groups == 1;
      flag_then.multiply_done = layer.inputs == 0;
      flag_then.last_input = layer.inputs == 1;
      flag_then.gather_last_input = layer.inputs == 1;
      flag_then.gather_end = layer.inputs == 0;
    end
  end

  always_ff @(posedge clk) begin
    now <= last;
    flag <= flag_then;
    late_full <= start ? 0 : {late_full[ddi::kWriteDelay-2:0], now.drain_busy};
    late_last <= start ? 0 : {late_last[ddi::kWriteDelay-2:0], now.drain_busy && flag.word_ends};
  end

  // What the stages behind are told.
  always_comb begin
    read.want_a = read_a;
    read.want_b = read_b;
    read.down_a = now.gather_down[0];
    read.across_a = now.gather_across[0];
    read.down_b = down_a;
    read.across_b = across_a;
    read.identity = identity;
    read.row = now.gather_row;
    read.column = now.gather_column;
    read.index = now.gather_input;

    multiply.load = loads;
    multiply.move = moves;
    multiply.enters = loads || row_ends;
    multiply.second = loads || (!row_ends && backwards);
    multiply.take = moves && !taken;
    multiply.hand_over = hands_over;
    multiply.bank = now.multiply_group[0];
    multiply.low_half = now.multiply_row[2];
    multiply.right_half = now.multiply_column[2];
    multiply.at = layer.paired ? now.multiply_filter
                               : now.multiply_row_end - layer.kernel + now.multiply_tap_column;
    multiply.valid = layer.paired ? (layer.active_in - now.multiply_filter == 1 ? 1 : 2)
                     : layer.kernel - now.multiply_tap_column >= ddi::kRowTaps ? 3
                     : layer.kernel - now.multiply_tap_column;

    drain.busy = now.drain_busy;
    drain.row = now.drain_row;
    drain.column = now.drain_column;
    drain.bank = now.drain_group[1:0];
    drain.result = now.drain_result[2:0];
    drain.block = now.drain_block[2:0];
    drain.first = now.drain_row == 0 && now.drain_column == 0 && now.drain_block == 0;
    drain.whole = now.drain_busy && flag.word_ends;
    drain.last = now.drain_busy && flag.word_ends &&
                 now.drain_row + (layer.by_parts ? ddi::kPart : ddi::kTile) >= layer.out_height &&
                 now.drain_column + (layer.by_parts ? ddi::kPart : ddi::kTile) >= layer.out_width;

    list.write = lists;
    list.bank = now.list_group[1:0];
    list.lane = now.list_channel[2:0];
    list.index = now.list_first + now.list_channel;

    biases.write = table_ready;
    biases.bank = now.table_group[1:0];
    biases.lane = now.table_channel[2:0];
    biases.row = table_row;

    rows.write = takes_rows;
    rows.bank = now.fetch_group[0];
    rows.turn = now.fetch_turn;
    rows.at = fetch_at[8:0];
    for (int i = 0; i < ddi::kWeightPorts; i++) rows.words[64*i+:64] = used[i] ? weights[64*i+:64] : 64'd0;

    if (start) begin  // the places are those of the layer before
      read = '0;
      multiply = '0;
      drain = '0;
      list = '0;
    end
  end
endmodule
