// Commands: what the planner decides in a cycle for the stages behind it. Each stage gets them as many cycles later as
// it lies behind the planner. Part of the package `ddi` (layout.py), with the contract's constants, layer_t and place_t.

  // What the two ports of tile memory read.
  typedef struct packed {
    logic want_a, want_b;      // a block of the next window, by port A, by port B
    logic down_a, across_a;    // where it goes in the window
    logic down_b, across_b;
    logic identity;            // port A reads the identity's word instead
    logic [kSideBits-1:0] row, column;      // of the step
    logic [kChannelBits-1:0] index;         // in the list of input channels, or of a pair of them
  } read_t;

  // What happens to the window and under it.
  typedef struct packed {
    logic load;                // the next window comes under the multipliers
    logic move;                // on to the next taps
    logic enters, second;      // where its bytes come from: the right, the left; or, entering, the row below, the next
    logic take;                // taps into the sums
    logic hand_over;           // sums to the drain
    logic bank;                // of the lanes
    logic low_half, right_half;  // part of the tile that the step covers
    logic [kLaneByteBits-1:0] at;           // byte of a lane's row
    logic [1:0] valid;         // taps
  } multiply_t;

  // Some pixels that are requantised.
  typedef struct packed {
    logic busy;
    logic [kSideBits-1:0] row, column;      // of the step
    logic [1:0] bank;          // of biases and scales
    logic [2:0] result;        // channel of the group
    logic [2:0] block;
    logic first;               // of a channel
    logic whole;               // the last ones of their word
    logic last;                // and of the channel
  } drain_t;

  // An output channel into its group's list.
  typedef struct packed {
    logic write;
    logic [1:0] bank;
    logic [2:0] lane;
    logic [kChannelBits-1:0] index;         // in the list of active output channels
  } list_t;

  // The bias and the scale of an output channel.
  typedef struct packed {
    logic write;
    logic [1:0] bank;
    logic [2:0] lane;
    logic [63:0] row;
  } table_t;

  // Words of three rows of weights.
  typedef struct packed {
    logic write;
    logic bank;
    logic [1:0] turn;
    logic [8:0] at;
    logic [191:0] words;
  } rows_t;
