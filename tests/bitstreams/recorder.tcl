# The vendor's commands, as far as a build may use them: each call is checked and written down, nothing is made.
#
#   tclsh recorder.tcl vivado|hls LOG SCRIPT     in the folder that holds parameters.tcl
#
# A command or an argument that is not listed here (from UG835 and UG1399) is an error, as are a pin that a block does not
# have, a pin with two drivers, and an input that nothing drives when the design is validated. The environment says what
# the tool has installed: RECORDER_BOARD_PARTS, and widths other than the least ones: RECORDER_BITS (a TCL dict).

lassign $argv tool log script
set record [open $log w]
set commands [dict create]
set cells [dict create]       ;# name → IP
set configured [dict create]  ;# name → properties
set joined [dict create]      ;# sink pin → driver
set values {
  -flow_target {vivado vitis} -rtl {verilog vhdl} -format {ip_catalog xo syn_dcp sysgen} -type {ip hier module}
  -tool {xsim modelsim vcs riviera xceliumm} -delay_type {min max min_max} -flow {none syn impl}
  -to_step {opt_design place_design route_design write_bitstream}
}

# command, flags, options that take a value, fewest and most positional words
proc known {name flags options fewest most} {
  dict set ::commands $name [list $flags $options $fewest $most]
  if {$name eq "exit"} {
    rename exit real_exit
  }
  proc ::$name {args} "return \[call $name \$args\]"
}

proc unknown {name args} {
  error "the vendor's tool has no command '$name' that this test knows (recorder.tcl)"
}

# Check a call's arguments; the options given, and the positional words.
proc arguments {name given} {
  lassign [dict get $::commands $name] flags options fewest most
  set found [dict create]
  set words {}
  for {set i 0} {$i < [llength $given]} {incr i} {
    set word [lindex $given $i]
    if {$word in $options} {
      if {[incr i] == [llength $given]} {
        error "$name: $word has no value"
      }
      set value [lindex $given $i]
      if {[dict exists $::values $word] && $value ni [dict get $::values $word]} {
        error "$name: $word $value, expected one of [dict get $::values $word]"
      }
      dict set found $word $value
    } elseif {$word in $flags} {
      dict set found $word 1
    } elseif {[regexp {^-[a-zA-Z_]+$} $word]} {
      error "$name has no argument $word: it takes $flags $options"
    } else {
      lappend words $word
    }
  }
  if {[llength $words] < $fewest || [llength $words] > $most} {
    error "$name: [llength $words] words ($words), expected $fewest to $most"
  }
  return [list $found $words]
}

proc call {name given} {
  lassign [arguments $name $given] options words
  if {[info commands do_$name] ne {}} {
    return [do_$name $options $words $given]
  }
  write $name $given
}

proc write {name given} {
  puts $::record [string trim "$name $given"]
}

# ------------------------------------------------------------------------------------------------------------- Vivado
set quiet {-quiet -verbose}
set getters {get_bd_cells get_bd_pins get_bd_intf_pins get_bd_addr_spaces get_bd_addr_segs get_files get_filesets get_runs}
if {$tool eq "vivado"} {
  foreach getter $getters {
    known $getter [list -regexp -nocase -hierarchical {*}$quiet] {-filter -of_objects} 0 9
  }
  known get_board_parts [list -regexp -nocase -latest_file_version -latest_hw_revision {*}$quiet] {-filter -of_objects} 0 1
  known get_property [list -min -max {*}$quiet] {} 2 2
  known current_project $quiet {} 0 1
  known create_project [list -force -in_memory -ip -rtl_kernel {*}$quiet] {-part} 0 2
  known set_property $quiet {-dict -name -value -objects} 1 9
  known update_ip_catalog [list -rebuild -disable_ip {*}$quiet] {-add_ip -delete_ip -delete_mult_ip -repo_path} 0 0
  known create_bd_design [list -bdsource {*}$quiet] {-dir -cell} 1 1
  known create_bd_cell $quiet {-vlnv -type -reference} 1 1
  known apply_bd_automation [list -opt {*}$quiet] {-rule -config} 1 1
  known connect_bd_net $quiet {-net -boundary_type} 2 9
  known connect_bd_intf_net [list -auto {*}$quiet] {-intf_net -boundary_type} 2 2
  known assign_bd_address [list -boot -external -force {*}$quiet] \
    {-target_address_space -dict -offset -range -import_from_file -export_to_file -combine_segments} 0 9
  known validate_bd_design [list -force -include_pfm {*}$quiet] {-design} 0 0
  known save_bd_design $quiet {} 0 1
  known make_wrapper [list -top -testbench -inst_template -import -force {*}$quiet] {-fileset -files} 0 1
  known update_compile_order [list -force_gui {*}$quiet] {-fileset} 0 0
  known launch_runs [list -scripts_only -next_step -force {*}$quiet] \
    {-jobs -dir -to_step -pre_launch_script -post_launch_script -custom_script -host} 1 9
  known wait_on_runs $quiet {-timeout -exit_condition} 1 9
  known open_run $quiet {-name -pr_config} 1 1
  known report_timing_summary [list -check_timing_verbose -no_detailed_paths -no_header -report_unconstrained -setup -hold \
    -append -return_string -warn_on_violation -datasheet -unique_pins {*}$quiet] \
    {-file -name -delay_type -max_paths -nworst -path_type -significant_digits -slack_lesser_than -input_pins -cells -rpx} 0 0
  known report_utilization [list -hierarchical -hierarchical_percentages -append -return_string -packthru -slr \
    -no_primitives -exclude_child_pblocks -exclude_non_assigned {*}$quiet] \
    {-file -name -cells -pblocks -hierarchical_depth -spreadsheet_file -spreadsheet_table -spreadsheet_depth} 0 0
  known write_hw_platform [list -fixed -force -include_bit -include_sim_content -minimal -hw -hw_emu {*}$quiet] {} 0 1
  known close_project [list -delete {*}$quiet] {} 0 0
}

# IP → its pins that must be driven, its other pins, its buses that must be joined, its other buses
set ips {
  processing_system7 {{M_AXI_GP0_ACLK IRQ_F2P} {FCLK_CLK0 FCLK_RESET0_N} {M_AXI_GP0} {DDR FIXED_IO}}
  proc_sys_reset {{slowest_sync_clk ext_reset_in} {aux_reset_in mb_debug_sys_rst dcm_locked mb_reset bus_struct_reset
    peripheral_reset interconnect_aresetn peripheral_aresetn} {} {}}
  axi_timer {{s_axi_aclk s_axi_aresetn} {capturetrig0 capturetrig1 freeze generateout0 generateout1 pwm0 interrupt} {S_AXI} {}}
  axi_intc {{s_axi_aclk s_axi_aresetn intr} {irq} {s_axi} {interrupt}}
  axi_interconnect {{ACLK ARESETN} {} {} {}}
}

# The pins of a cell as it is configured, in the form of `ips`.
proc pins_of {cell} {
  set ip [dict get $::cells $cell]
  set config [expr {[dict exists $::configured $cell] ? [dict get $::configured $cell] : {}}]
  if {$ip eq $::top} {
    set buses {s_axi_control}
    dict for {name port} $::memory_ports {
      lappend buses [dict get $port bus]
    }
    return [list {ap_clk ap_rst_n} {interrupt} $buses {}]
  }
  if {![dict exists $::ips $ip]} {
    error "$cell is a block '$ip' that this test does not know (recorder.tcl)"
  }
  lassign [dict get $::ips $ip] driven other buses free
  for {set i 0} {$ip eq "processing_system7" && $i < 4} {incr i} {
    if {[dict exists $config CONFIG.PCW_USE_S_AXI_HP$i] && [dict get $config CONFIG.PCW_USE_S_AXI_HP$i]} {
      lappend driven S_AXI_HP${i}_ACLK
      lappend buses S_AXI_HP$i
    }
  }
  foreach {letter key} {S CONFIG.NUM_SI M CONFIG.NUM_MI} {
    for {set i 0} {$ip eq "axi_interconnect" && $i < [dict get $config $key]} {incr i} {
      set side [format $letter%02d $i]
      lappend driven ${side}_ACLK ${side}_ARESETN
      lappend buses ${side}_AXI
    }
  }
  return [list $driven $other $buses $free]
}

# `place` is CELL/PIN: an error unless that cell has been made and has that pin (or bus).
proc find {place from to} {
  lassign [split $place /] cell pin
  if {![dict exists $::cells $cell]} {
    error "no cell $cell (for $place): there are [dict keys $::cells]"
  }
  set there [concat {*}[lrange [pins_of $cell] $from $to]]
  if {$pin ni $there} {
    error "$cell ([dict get $::cells $cell]) has no $pin: it has $there"
  }
  return $place
}

proc join_once {from to} {
  if {[dict exists $::joined $to]} {
    error "$to is joined to $from, and to [dict get $::joined $to] before"
  }
  dict set ::joined $to $from
}

proc do_get_bd_cells {options words given} {
  if {[lindex $words 0] ni [dict keys $::cells]} {
    error "no cell [lindex $words 0]: there are [dict keys $::cells]"
  }
  return [lindex $words 0]
}
proc do_get_bd_pins {options words given} { return [find [lindex $words 0] 0 1] }
proc do_get_bd_intf_pins {options words given} { return [find [lindex $words 0] 2 3] }
proc do_get_bd_addr_spaces {options words given} {
  lassign [split [lindex $words 0] /] cell space
  do_get_bd_cells {} $cell {}
  if {$space ne "Data"} {
    find $cell/[string range $space [string length Data_] end] 2 2
  }
  return [lindex $words 0]
}
proc do_get_bd_addr_segs {options words given} {
  lassign [split [lindex $words 0] /] cell bus segment
  find $cell/$bus 2 2
  if {$segment ne "Reg" && $segment ne "[string range $bus 6 end]_DDR_LOWOCM"} {
    error "$cell/$bus has no segment $segment"
  }
  return [lindex $words 0]
}
proc do_get_files {options words given} { return $words }
proc do_get_filesets {options words given} { return $words }
proc do_get_runs {options words given} { return $words }
proc do_current_project {options words given} { return project }
proc do_get_board_parts {options words given} {
  set parts [expr {[info exists ::env(RECORDER_BOARD_PARTS)] ? $::env(RECORDER_BOARD_PARTS) : {}}]
  return [lsearch -all -inline -glob $parts [lindex $words 0]]
}
proc do_get_property {options words given} {
  lassign $words name object
  switch $name {
    PROGRESS { return [expr {[info exists ::env(RECORDER_PROGRESS)] ? $::env(RECORDER_PROGRESS) : "100%"}] }
    STATUS { return "place_design ERROR" }
    CONFIG.DATA_WIDTH {
      set port [string range [lindex [split $object /] 1] [string length m_axi_] end]
      if {[info exists ::env(RECORDER_BITS)] && [dict exists $::env(RECORDER_BITS) $port]} {
        return [dict get $::env(RECORDER_BITS) $port]
      }
      return [dict get $::memory_ports $port low]
    }
  }
  error "get_property: this test knows no property $name"
}

proc do_set_property {options words given} {
  if {![dict exists $options -dict]} {
    if {[llength $words] != 3} {
      error "set_property: [llength $words] words ($words), expected name, value and object"
    }
    return [write set_property $given]
  }
  if {[llength $words] != 1 || [llength [dict get $options -dict]] % 2} {
    error "set_property -dict: expected pairs of name and value, and one object"
  }
  puts $::record "set_property -dict on [lindex $words 0]"
  foreach {name value} [dict get $options -dict] {
    puts $::record "  $name $value"
    dict set ::configured [lindex $words 0] $name $value
  }
}
proc do_create_bd_cell {options words given} {
  dict set ::cells [lindex $words 0] [lindex [split [dict get $options -vlnv] :] 2]
  write create_bd_cell $given
  return [lindex $words 0]
}
proc do_connect_bd_net {options words given} {
  foreach sink [lrange $words 1 end] {
    join_once [lindex $words 0] $sink
  }
  write connect_bd_net $given
}
proc do_connect_bd_intf_net {options words given} {
  lassign $words from to
  join_once $from $to
  join_once $to $from
  write connect_bd_intf_net $given
}
proc do_validate_bd_design {options words given} {
  foreach cell [dict keys $::cells] {
    lassign [pins_of $cell] driven other buses
    foreach pin [concat $driven $buses] {
      if {![dict exists $::joined $cell/$pin]} {
        error "validate_bd_design: nothing is joined to $cell/$pin"
      }
    }
  }
  write validate_bd_design $given
}

# ---------------------------------------------------------------------------------------------------------- Vitis HLS
if {$tool eq "hls"} {
  known open_project {-reset -upgrade} {} 1 1
  known open_component {-reset} {-flow_target} 1 1
  known set_top {} {} 1 1
  known add_files {-tb -appendflags} {-cflags -csimflags -blackbox} 1 1
  known open_solution {-reset} {-flow_target} 1 1
  known set_part {} {} 1 1
  known create_clock {} {-period -name} 0 1
  known set_clock_uncertainty {} {} 1 2
  known config_interface {-m_axi_addr64} {-m_axi_max_widen_bitwidth -m_axi_latency -m_axi_alignment_byte_size} 0 1
  known csim_design {-O -clean -setup -profile -sanitize_address -sanitize_undefined} {-argv -ldflags -mflags} 0 0
  known csynth_design {-dump_cfg -dump_post_cfg -synthesis_check} {} 0 0
  known cosim_design {-O -setup -coverage -disable_binary_tv -disable_deadlock_detection -disable_dependency_check
    -enable_dataflow_profiling -enable_fifo_sizing -random_stall -stable_axilite_update -wave_debug} \
    {-argv -rtl -tool -trace_level -ldflags -mflags -compiled_library_dir -hwemu_trace_dir -user_stall} 0 0
  known export_design {} {-format -rtl -flow -vendor -library -ipname -version -description -display_name -taxonomy
    -output -ip_xdc_file -ip_xdc_ooc_file} 0 0
  known exit {} {} 0 1
  proc do_exit {options words given} {
    write exit $given
    close $::record
    real_exit [expr {[llength $words] ? [lindex $words 0] : 0}]
  }
}

if {[catch {source $script} message]} {
  puts stderr "ERROR: $message"
  close $record
  [expr {[llength [info commands real_exit]] ? "real_exit" : "exit"}] 1
}
close $record
