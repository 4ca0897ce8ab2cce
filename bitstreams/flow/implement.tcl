# vivado -mode batch -source implement.tcl: from the engine's IP to a bitstream and its reports, beside parameters.tcl.
set flow [file dirname [file normalize [info script]]]
source parameters.tcl

create_project $design vivado -part $part -force
set board_part {}
foreach wanted $board_parts {
  set found [lsort -dictionary [get_board_parts -quiet $wanted:*]]
  if {[llength $found]} {
    set board_part [lindex $found end]
    set_property board_part $board_part [current_project]
    break
  }
}
set_property ip_repo_paths $ip_repository [current_project]
update_ip_catalog
source [file join $flow design.tcl]

make_wrapper -files [get_files $design.bd] -top -import
set_property top ${design}_wrapper [get_filesets sources_1]
update_compile_order -fileset sources_1
set_property strategy $strategy [get_runs impl_1]
launch_runs impl_1 -to_step write_bitstream -jobs $jobs
wait_on_runs impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
  error "implementation stopped: [get_property STATUS [get_runs impl_1]]"
}
open_run impl_1
report_timing_summary -delay_type min_max -max_paths 10 -file timing_summary.rpt
report_utilization -file utilization.rpt
report_utilization -hierarchical -file utilization_hierarchical.rpt
write_hw_platform -fixed -include_bit -force $design.xsa
close_project
