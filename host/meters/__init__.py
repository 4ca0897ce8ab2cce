"""The meters behind host/meter.py: a serial line, SCPI instruments, a replayed file; their traces and calibration."""
