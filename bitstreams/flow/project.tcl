# The HLS project of the engine, as vitis_hls knows it: sources, test bench, part, clock. Sourced by csim, hls, cosim.
source parameters.tcl

open_project engine
set_top $top
add_files -cflags $source_flags -csimflags $simulation_flags $source
add_files -tb -cflags $simulation_flags $testbench
open_solution -flow_target vivado solution
set_part $part
create_clock -period $period_ns -name default
set_clock_uncertainty $uncertainty_percent%
