# vitis_hls -f csim.tcl: the engine's C++ against the golden vectors.
source [file join [file dirname [file normalize [info script]]] project.tcl]
csim_design -O -clean -argv $vectors
exit
