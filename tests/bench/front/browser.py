"""A real browser for tests: Debian's Chromium without a window, over a pipe, by its DevTools protocol.

    with Browser(width=400, dark=True) as page:
        page.open(path); page.evaluate("document.title")

Nothing but the standard library and the browser; requests that a page makes are kept in `page.requests`.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-pipe")  # fmt: skip
FREE = 10
PLACE = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
SECONDS = 120  # for an answer; the machine may be busy


def found():
    """Path of a browser, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(RuntimeError):
    """The browser ended, said nothing in time, or a script in it failed."""


class Browser:
    """One tab. `width` and `height` in CSS pixels; `scripts`: whether pages may run any."""

    def __init__(self, width=1280, height=900, dark=False, scripts=True, reduced_motion=False):
        self._width, self._height, self._dark, self._scripts = width, height, dark, scripts
        self._motion = "reduce" if reduced_motion else "no-preference"
        self._count, self._buffer, self.requests, self.messages = 0, b"", [], []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            self._start()
            stack.callback(self._stop)
            target = self._send("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
                self.call(f"{domain}.enable")
            self.call("Emulation.setDeviceMetricsOverride", width=self._width, height=self._height, deviceScaleFactor=1,
                      mobile=False)  # fmt: skip
            scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
            motion = {"name": "prefers-reduced-motion", "value": self._motion}
            self.call("Emulation.setEmulatedMedia", features=[scheme, motion])
            self._open_things = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._open_things.close()

    def open(self, path):
        """Load a file, and wait until it is there."""
        # DevTools' own scripts run also where a page's may not.
        self.call("Emulation.setScriptExecutionDisabled", value=not self._scripts)
        self.requests.clear()
        self.messages.clear()
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        end = time.monotonic() + SECONDS
        while self.evaluate("document.readyState") != "complete" or self.evaluate("location.href") == "about:blank":
            if time.monotonic() > end:
                raise BrowserError(f"{path} was not loaded in {SECONDS} s")
            time.sleep(0.05)

    def evaluate(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            said = answer["exceptionDetails"]
            raise BrowserError(said.get("exception", {}).get("description") or said["text"])
        return answer["result"].get("value")

    def press(self, key, code=0):
        """A key, as `Tab` or `ArrowRight`; `code` is its number on a keyboard of Windows."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=True):
        """A PNG of the page, all of it or what the window shows."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": self._width, "height": size["height"] if whole else self._height, "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, clip=clip)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def call(self, method, **parameters):
        """A method of the protocol, asked of the tab; its result."""
        return self._send(method, self._session, **parameters)

    # ------------------------------------------------------------------------------------------------------ the pipe
    def _start(self):
        """The browser reads requests at its descriptor 3 and writes to 4."""
        (to_read, self._to), (self._from, to_write) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, FREE) for end in (to_read, to_write)]  # none of them is 3 or 4
        command = [sys.executable, "-c", PLACE, *map(str, ends), str(found()), *FLAGS, f"--user-data-dir={self._home}"]
        self._process = subprocess.Popen([*command, "about:blank"], pass_fds=ends, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        for end in (to_read, to_write, *ends):
            os.close(end)

    def _stop(self):
        with contextlib.suppress(BrowserError, OSError):
            self._send("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def _send(self, method, session=None, **parameters):
        self._count += 1
        number, message = self._count, {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._keep(answer)

    def _keep(self, event):
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.messages.append(event["params"])

    def _next(self, method):
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], SECONDS)[0]:
                raise BrowserError(f"no answer to {method} in {SECONDS} s")
            part = os.read(self._from, 1 << 20)
            if not part:
                raise BrowserError(f"the browser ended at {method} (exit code {self._process.poll()})")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
