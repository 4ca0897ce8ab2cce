# vitis_hls -f cosim.tcl: the RTL against the golden vectors.
source [file join [file dirname [file normalize [info script]]] project.tcl]
cosim_design -O -rtl verilog -tool xsim -argv $vectors
exit
