# The block design: processor, engine, cycle counter, interrupts, and a way to the memory for each of the engine's ports.
# All names, addresses and widths are parameters.tcl's. Sourced by implement.tcl in an open project.

proc block {name vlnv {properties {}}} {
  set cell [create_bd_cell -type ip -vlnv $vlnv $name]
  if {[llength $properties]} {
    set_property -dict $properties $cell
  }
  return $cell
}

proc join_pins {from args} {
  foreach to $args {
    connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
  }
}

proc join_buses {from to} {
  connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}

# An interconnect of so many slaves and masters, every part of it on the one clock.
proc interconnect {name slaves masters} {
  global interconnect
  block $name [dict get $interconnect vlnv] [list CONFIG.NUM_SI $slaves CONFIG.NUM_MI $masters]
  set sides {{}}
  for {set i 0} {$i < $slaves} {incr i} {
    lappend sides [format S%02d_ $i]
  }
  for {set i 0} {$i < $masters} {incr i} {
    lappend sides [format M%02d_ $i]
  }
  foreach side $sides {
    join_pins $::clock $name/${side}ACLK
    join_pins [expr {$side eq {} ? $::bus_reset : $::block_reset}] $name/${side}ARESETN
  }
}

create_bd_design $design

# The processor: set up by the board's files where the tool has them, else by a preset of the IP or by our own data.
set ps [dict get $processor ip]
set cell [block $ps [dict get $processor vlnv]]
if {$board_part eq {}} {
  if {$preset ne {}} {
    set_property -dict [list CONFIG.preset $preset] $cell
  }
  if {[llength $preset_properties]} {
    set_property -dict $preset_properties $cell
  }
}
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \
  make_external {FIXED_IO, DDR} apply_board_preset [expr {$board_part ne {}}] Master Disable Slave Disable] $cell
set_property -dict $processor_properties $cell

# One clock for everything, and its reset.
set clock $ps/$clock_pin
set rst [dict get $reset ip]
block $rst [dict get $reset vlnv]
join_pins $clock $rst/slowest_sync_clk
join_pins $ps/FCLK_RESET0_N $rst/ext_reset_in
set bus_reset $rst/interconnect_aresetn
set block_reset $rst/peripheral_aresetn

# What the processor controls. The timer counts the engine's cycles in 64 bits.
dict for {name slave} $slaves {
  block $name [dict get $slave vlnv]
}
set_property -dict [list CONFIG.mode_64bit 1] [get_bd_cells $timer]
set_property -dict [list CONFIG.C_IRQ_CONNECTION 1] [get_bd_cells $interrupt_controller]
join_pins $clock $engine/ap_clk $timer/s_axi_aclk $interrupt_controller/s_axi_aclk
join_pins $block_reset $engine/ap_rst_n $timer/s_axi_aresetn $interrupt_controller/s_axi_aresetn
set control [dict get $interconnect control]
set master [dict get $processor control]
interconnect $control 1 [dict size $slaves]
join_pins $clock $ps/${master}_ACLK
join_buses $ps/$master $control/S00_AXI
set index 0
dict for {name slave} $slaves {
  join_buses $control/[format M%02d_AXI $index] $name/[dict get $slave bus]
  incr index
}
join_pins [dict get $slaves $engine interrupt] $interrupt_controller/intr
join_pins $interrupt_controller/irq $ps/IRQ_F2P

# The engine's memory ports, in groups: AXI4 there, AXI3 at the processor, widths as they come.
dict for {to names} $memory_groups {
  set name [dict get $interconnect memory]_[string tolower [string range $to [string length S_AXI_] end]]
  interconnect $name [llength $names] 1
  join_pins $clock $ps/${to}_ACLK
  join_buses $name/M00_AXI $ps/$to
  set index 0
  foreach port $names {
    set pin $engine/[dict get $memory_ports $port bus]
    set bits [get_property CONFIG.DATA_WIDTH [get_bd_intf_pins $pin]]
    if {$bits < [dict get $memory_ports $port low] || $bits > [dict get $memory_ports $port high]} {
      error "$pin is $bits bits wide, expected [dict get $memory_ports $port low] to [dict get $memory_ports $port high]"
    }
    join_buses $pin $name/[format S%02d_AXI $index]
    incr index
  }
}

# Addresses: the processor's of the blocks, the engine's of the memory.
set space [get_bd_addr_spaces $ps/Data]
dict for {name slave} $slaves {
  assign_bd_address -offset [dict get $slave base] -range [dict get $slave range] -target_address_space $space \
    [get_bd_addr_segs $name/[dict get $slave bus]/Reg] -force
}
dict for {to names} $memory_groups {
  set segment [get_bd_addr_segs $ps/$to/[string range $to [string length S_AXI_] end]_DDR_LOWOCM]
  foreach port $names {
    assign_bd_address -target_address_space [get_bd_addr_spaces $engine/Data_[dict get $memory_ports $port bus]] \
      $segment -force
  }
}
validate_bd_design
save_bd_design
