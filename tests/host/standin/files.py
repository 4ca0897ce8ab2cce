"""The files beside a bitstream: a .bit with a true header and no design in it, its .hwh, its build.json.

write_build(tmp_path / "zedboard")
"""

import hashlib
import json
import struct

from hls import isa
from host.board import overlay
from tests.host.standin import hwh

CLOCK_MHZ = 142.857143  # 1 GHz over 7, the nearest to the board's target that its dividers give
BUILD = {
    "isa_hash": isa.HASH,
    "clock_mhz": CLOCK_MHZ,
    "part": "xc7z020clg484-1",
    "tool": "none",
    "commit": "0123456789ab",
}


def bit(part="7z020clg484", data=b"\xff" * 64):
    """The bytes of a .bit: a fixed field, then fields a to d of text, then e with the data."""
    parts = [struct.pack(">H", 9) + bytes(9), struct.pack(">H", 1)]
    for key, text in (
        ("a", "ddi;UserID=0XFFFFFFFF;Version=2022.1"),
        ("b", part),
        ("c", "2024/01/01"),
        ("d", "00:00:00"),
    ):
        field = text.encode() + b"\0"
        parts.append(key.encode() + struct.pack(">H", len(field)) + field)
    return b"".join(parts) + b"e" + struct.pack(">I", len(data)) + data


def check_bit(data):
    """The part that a .bit is for; RuntimeError, as pynq raises it, when its header or length is wrong."""
    at = 2 + struct.unpack(">H", data[:2])[0] + 2
    part = None
    while True:
        key, at = data[at : at + 1], at + 1
        if key == b"e":
            length = struct.unpack(">I", data[at : at + 4])[0]
            if at + 4 + length != len(data):
                raise RuntimeError("Invalid length found")
            return part
        if key not in (b"a", b"b", b"c", b"d"):
            raise RuntimeError(f"Unknown field: {key.hex()}")
        length = struct.unpack(">H", data[at : at + 2])[0]
        if key == b"b":
            part = data[at + 2 : at + 1 + length].decode("ascii")
        at += 2 + length


def write_build(folder, text=None, build=None, data=None, sha256=True):
    """Write ddi.bit, ddi.hwh and build.json into `folder`; what is given replaces what would be right."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ddi.bit").write_bytes(bit() if data is None else data)
    (folder / "ddi.hwh").write_text(hwh.write(overlay.read()) if text is None else text, encoding="utf-8")
    facts = dict(BUILD, **(build or {}))
    if sha256:
        names = ("ddi.bit", "ddi.hwh")
        facts["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "build.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder
