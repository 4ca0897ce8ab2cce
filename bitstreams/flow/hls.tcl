# vitis_hls -f hls.tcl: synthesis to RTL, packed as an IP.
source [file join [file dirname [file normalize [info script]]] project.tcl]
csynth_design
export_design -format ip_catalog -rtl verilog -vendor [lindex $vlnv 0] -library [lindex $vlnv 1] \
  -ipname [lindex $vlnv 2] -version [lindex $vlnv 3]
exit
