"""Bambu's controllers taken apart: each output as the states and conditions that set it."""

import itertools
import re

import pytest

from bitstreams.open_hls import states
from hls.errors import UserError

CONTROLLER = """\
module controller_top(done_port,
  selected,
  written,
  choice,
  condition,
  start_port,
  clock,
  reset);
  output done_port;
  parameter [1:0] S_2 = 2'd2,
    S_0 = 2'd0,
    S_1 = 2'd1;
  reg [1:0] _present_state=S_2, _next_state;
  reg done_port;
  reg selected;
  reg written;
  reg never;

  always @(posedge clock)
    if (reset == 1'b0) _present_state <= S_2;
    else _present_state <= _next_state;

  always @(*)
  begin
    done_port = 1'b0;
    selected = 1'b0;
    written = 1'b0;
    never = 1'b0;
    case (_present_state)
      S_2 :
        if(start_port == 1'b1)
        begin
          written = 1'b1;
          _next_state = S_0;
        end
        else
        begin
          _next_state = S_2;
        end
      S_0 :
        begin
          written = 1'b1;
          selected = 1'b1;
          casez (choice)
            2'b?1 :
              begin
                _next_state = S_1;
                written = 1'b0;
              end
            2'b10 :
              begin
                _next_state = S_0;
              end
            default:
              begin
                _next_state = S_2;
                selected = 1'b0;
              end
          endcase
        end
      S_1 :
        begin
          _next_state = S_2;
          if (condition == 1'b1)
            done_port = 1'b1;
        end
      default :
        begin
          _next_state = S_2;
        end
    endcase
  end
endmodule
"""
OTHER = "module datapath_top(clock);\n  input clock;\nendmodule\n"


def outputs(verilog):
    """Output → its expression."""
    return dict(re.findall(r"^  always @\(\*\) (\S+) = (.*);$", verilog, re.MULTILINE))


def value(expression, state, choice, condition, start_port):
    """The bit that an expression of the taken-apart controller gives."""
    bits = {f"_present_state[{i}]": int(i == state) for i in range(3)}
    bits |= {"choice[0]": choice & 1, "choice[1]": choice >> 1}
    text = re.sub(r"_present_state\[\d\]|choice\[\d\]", lambda found: str(bits[found[0]]), expression)
    text = text.replace("condition", str(condition)).replace("start_port", str(start_port)).replace("1'b", "")
    while "(" in text:  # the innermost choice first
        text = re.sub(r"\(([^()?]*) \? ([^():]*) : ([^()]*)\)", _chosen, text)
    return _bit(text)


def _chosen(found):
    return str(_bit(found[2] if _bit(found[1]) else found[3]))


def _bit(text):
    return int(eval(text.replace("~0", "1").replace("~1", "0")))


def wanted(state, choice, condition, start_port):
    """(outputs that are set, next state) by the case as it stands; states as bits, in the order of their parameters."""
    if state == 0:
        return ({"written"}, 1) if start_port else (set(), 0)
    if state == 2:
        return ({"done_port"} if condition else set()), 0
    if choice & 1:
        return {"selected"}, 2
    return ({"selected", "written"}, 1) if choice == 2 else ({"written"}, 0)


def test_every_output_is_what_the_case_says():
    found = outputs(states.split(CONTROLLER))
    assert set(found) == {"done_port", "selected", "written", "never", *(f"_next_state[{i}]" for i in range(3))}
    for state, choice, condition, start_port in itertools.product(range(3), range(4), range(2), range(2)):
        inputs = (state, choice, condition, start_port)
        values = {name: value(expression, *inputs) for name, expression in found.items()}
        names, following = wanted(*inputs)
        assert {name for name, bit in values.items() if bit} == names | {f"_next_state[{following}]"}, inputs


def test_states_are_bits_and_the_rest_stays():
    text = states.split(OTHER + CONTROLLER + OTHER)
    assert text.startswith(OTHER) and text.endswith(OTHER)
    assert "parameter [2:0] S_2 = 3'b1 << 0,\n    S_0 = 3'b1 << 1,\n    S_1 = 3'b1 << 2;" in text
    assert "reg [2:0] _present_state=S_2, _next_state;" in text and "_present_state <= S_2;" in text
    assert "case (" not in text


@pytest.mark.parametrize(
    ("old", "new"),
    [("case (_present_state)", "case (state)"), ("parameter", "localparam"), ("written = 1'b1;", "written <= 1'b1;")],
)
def test_a_controller_of_another_form_is_refused(old, new):
    with pytest.raises(UserError, match="controller_top"):
        states.split(CONTROLLER.replace(old, new))
