"""The vendor's flow: Vitis HLS and Vivado in batch."""
