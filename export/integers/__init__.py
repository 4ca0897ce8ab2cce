"""From floats to integers: ranges, shared scales, int8 weights, and what takes the error of a step out again."""
