"""Stand-ins of meters on real pseudo-terminals: the microcontroller's line protocol, and a SCPI instrument.

    with LineMeter(rate_hz=400, fault=Stall(50)) as device:
        open_meter(device.address)                      # serial:/dev/pts/N?wait=…

A fault is a function (index of the line, the line) → what is written instead: bytes, or None to fall silent; it may
raise Unplug, which closes the terminal. LineMeter's power follows `watt(seconds)`.
"""

import os
import select
import socket
import threading
import time
import tty

from host.meters.protocol import sample_line

HEADER = b"# ddi-meter 1 ina226\n"
HEADER_LINES = 50  # samples between two headers: the first may be lost while the port is opened


class Unplug(Exception):
    """The terminal goes away."""


class _Terminal:
    """A pseudo-terminal whose other end is played by a thread."""

    scheme = "serial:{}"

    def __init__(self, wait_s):
        self._wait_s, self._stop = wait_s, threading.Event()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self):
        """What open_meter takes."""
        return f"{self.scheme.format(self.path)}?wait={self._wait_s}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)
        self._close()

    def _close(self):
        for end in ("_master", "_slave"):
            if getattr(self, end) is not None:
                os.close(getattr(self, end))
                setattr(self, end, None)

    def _run(self):
        try:
            self._play()
        except Unplug:
            self._close()
        except OSError:
            pass  # the host closed its end

    def _play(self):
        raise NotImplementedError

    def _write(self, data):
        """Write all of it; what a full terminal does not take within a moment is lost, as on a real line."""
        while data and select.select([], [self._master], [], 0.05)[1]:
            data = data[os.write(self._master, data[:1024]) :]


class LineMeter(_Terminal):
    """Sends HEADER and then samples; `start_us` is its clock at first, `fast` how much faster than true it runs."""

    def __init__(self, rate_hz=400, fault=None, watt=None, volt=12.0, start_us=0, fast=1.0, header=HEADER, wait_s=0.4):
        super().__init__(wait_s)
        self._rate_hz, self._fault, self._watt, self._volt = rate_hz, fault, watt or noisy_idle, volt
        self._start_us, self._fast, self._header = start_us, fast, header

    def _play(self):
        begin_s, index = time.monotonic(), 0
        while not self._stop.is_set():
            due_s = begin_s + index / self._rate_hz
            if (left := due_s - time.monotonic()) > 0:
                self._stop.wait(left)
            since_s = index / self._rate_hz
            milliampere = 1e3 * self._watt(due_s) / self._volt
            line = sample_line(self._start_us + int(1e6 * self._fast * since_s), 1e3 * self._volt, milliampere)
            sent = line if self._fault is None else self._fault(index, line)
            header = self._header if index % HEADER_LINES == 0 else b""
            if sent:
                self._write(header + sent)
            index += 1


class ScpiMeter(_Terminal):
    """Answers queries from `answers` (bytes → bytes, or None for silence); falls silent at any other."""

    scheme = "visa:ASRL{}::INSTR"
    ANSWERS = (
        (b"*IDN?", b"STAND-IN,SUPPLY,1,1.0"),
        (b"MEAS:VOLT?", b"12.001"),
        (b"MEAS:CURR?", b"2.1408E-01"),
        (b"SYST:ERR?", b'-222,"Data out of range"'),
    )

    def __init__(self, answers=(), after=-1, wait_s=0.4, end=b"\n", slow_s=0.0):
        super().__init__(wait_s)
        self._answers, self._faulty, self._after = dict(self.ANSWERS), dict(answers), after
        self._end, self._slow_s, self._rest, self._count = end, slow_s, b"", 0

    def _play(self):
        while not self._stop.is_set():
            if select.select([self._master], [], [], 0.02)[0]:
                for reply in self.replies(os.read(self._master, 4096)):
                    self._write(reply)

    def replies(self, data):
        """What is answered to the bytes that came."""
        *queries, self._rest = (self._rest + data.replace(b"\r", b"\n")).split(b"\n")
        for query in queries:
            self._count += query.startswith(b"MEAS")
            self._stop.wait(self._slow_s if query.startswith(b"MEAS") else 0)
            answers = self._answers | (self._faulty if self._count > self._after else {})
            answer = answers.get(query.strip())
            if isinstance(answer, type):
                raise answer
            if answer is not None:
                yield answer + self._end


class LanMeter(ScpiMeter):
    """The same on a socket, for one caller at a time."""

    scheme = "visa:TCPIP::127.0.0.1::{}::SOCKET"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.path = self._listener.getsockname()[1]

    def _close(self):
        super()._close()
        self._listener.close()

    def _play(self):
        while not self._stop.is_set():
            try:
                caller, _ = self._listener.accept()
            except TimeoutError:
                continue
            with caller:
                caller.settimeout(0.1)
                self._serve(caller)

    def _serve(self, caller):
        while not self._stop.is_set():
            try:
                data = caller.recv(4096)
            except TimeoutError:
                continue
            if not data:
                return
            for reply in self.replies(data):
                caller.sendall(reply)


def noisy_idle(time_s):
    """2.57 W with a few milliwatts that differ from sample to sample."""
    return 2.57 + 0.004 * ((time_s * 7919.0) % 1 - 0.5)


def resend(line, stamp=None, millivolt=None, milliampere=None):
    """`line` (bytes) with other values and a right checksum."""
    fields = [float(field) for field in line.split(b"*")[0].split(b",")]
    new = [old if value is None else value for old, value in zip(fields, (stamp, millivolt, milliampere))]
    return sample_line(int(new[0]), new[1], new[2])
