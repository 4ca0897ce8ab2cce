"""The meters that host/meters/open.py opens: serial line, SCPI instruments, replayed file; traces and calibration."""
