"""Whether a JPEG has the data that its header asks for: decoders fill what lacks with grey and say nothing.

    if may_lack(pixels) and unpack(lengthened(content)) != pixels: …     # something was read that was not there before

What lacks is at the end, of zero coefficients: 128 in every channel. A picture may end in that grey on its own, so a
second decoding decides, of the same file with more data at the end of each scan. A whole picture does not read it.
Markers and scans: ITU-T T.81, annex B.
"""

import re

SIGNATURE = b"\xff\xd8\xff"
GREY = (127, 128)  # the middle of the levels; CMYK is kept inverted
START_OF_SCAN, END = 0xDA, 0xD9
MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # ends a scan's data
RESTART = re.compile(rb"\xff([\xd0-\xd7])")  # stands within, numbered from 0 to 7 and round again
MORE = bytes(range(255))


def may_lack(pixels):
    """Whether (H, W) or (H, W, C) pixels end as missing data do."""
    last = pixels[-1, -1].reshape(-1).tolist()
    return all(value in GREY for value in last)


def lengthened(content):
    """The bytes of a JPEG with more data at the end of each scan, up to its end. ValueError where it has none."""
    found, begin, at = [], 0, len(SIGNATURE) - 1
    while True:
        while content[at + 1] == 0xFF:  # a marker may begin with any number of these
            at += 1
        kind, size = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        at += 2 + size
        if kind == START_OF_SCAN:
            marker = MARKER.search(content, at)
            if marker is None:
                raise ValueError("has a scan without an end")
            found += [content[begin : marker.start()], MORE, _next_restart(content[at : marker.start()]), MORE]
            begin = at = marker.start()
        if at + 4 > len(content) or content[at + 1] == END:
            return b"".join(found) + content[begin:]


def _next_restart(data):
    """The restart marker that would be the next one of a scan's data."""
    last = RESTART.findall(data)[-1:] or [b"\xd7"]
    return bytes((0xFF, 0xD0 + (last[0][0] + 1) % 8))
