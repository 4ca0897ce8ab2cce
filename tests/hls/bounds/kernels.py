"""Small loops in the engine's form, for tests of hls/bounds: a State with pragmas, a top function, one loop."""

import shutil

import pytest

from hls.bounds.analysis import bounds
from hls.bounds.sources import COMPILER, read

needs_clang = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")

SOURCE = """\
#include <cstdint>
struct State {{
  {state}
}};
static State state;
extern "C" int32_t top(const int32_t* in, int32_t* out, int32_t n) {{
  {pragmas}
  {before}
Loop:
  for (int32_t i = 0; i < n; ++i) {{
    #pragma HLS pipeline II = 1
    {body}
  }}
  {after}
}}
"""
QUEUES = """\
#include <cstdint>
namespace ddi {{
template <typename Item, int32_t kDepth>
struct Queue {{
  bool Empty();
  bool Full();
  void Push(Item pushed);
  Item Pop();
}};
}}
inline void Run(int32_t* to, int32_t n, ddi::Queue<int32_t, 8>& queue, ddi::Queue<int32_t, 8> (&lanes)[3]) {{
Loop:
  for (int32_t i = 0; i < n; ++i) {{
    #pragma HLS pipeline II = 1
    {body}
  }}
}}
extern "C" int32_t top(int32_t* out, int32_t n) {{
  static ddi::Queue<int32_t, 8> queue;
  static ddi::Queue<int32_t, 8> lanes[3];
  Run(out, n, queue, lanes);
  return 0;
}}
"""


def bound(folder, body, state="int32_t unused;", pragmas=(), before="", after="return 0;", clock_mhz=100):
    """The Bound of `body` in a loop over i < n, with pointers `in` and `out`."""
    lines = "\n  ".join(f"#pragma HLS {each}" for each in pragmas)
    text = SOURCE.format(state=state, pragmas=lines, before=before, body=body, after=after)
    return of_text(folder, text, clock_mhz)


def with_queues(folder, body):
    """The same of a loop with the ddi::Queues `queue` and `lanes[3]`, and the pointer `to`."""
    return of_text(folder, QUEUES.format(body=body))


def of_text(folder, text, clock_mhz=100):
    """The Bound of the loop Loop of a whole source."""
    (folder / "engine.cpp").write_text(text)
    return {each.name.partition("::")[2]: each for each in bounds(read(folder), clock_mhz, "-1", 8)}["Loop"]


def unrolled(label, count, body):
    """A loop that is unrolled, of `count` iterations over k."""
    return f"""
  {label}:
    for (int32_t k = 0; k < {count}; ++k) {{
      #pragma HLS unroll
      {body}
    }}"""
