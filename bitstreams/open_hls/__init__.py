"""RTL by open tools: Bambu, Verilator, yosys."""
