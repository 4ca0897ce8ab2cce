"""PNG files as pixels, with zlib and numpy alone, so that a board reads them as a laptop does.

    pixels = read_png(content)      # (H, W, C) uint8: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha
    content = write_png(pixels)     # of grey or RGB

All kinds of the specification (W3C, PNG third edition): 1 to 16 bits, palettes, transparent colours, interlaced rows.
16 bits are rounded to 8. Sizes are looked at before anything is unpacked. ValueError for whatever is wrong.
"""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → samples a pixel
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
PALETTE = 3
# Adam7: first row and column of each pass, and the steps between its rows and columns.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def read_size(content):
    """(height, width, channels) by the header, channels as they come out of `read_png`."""
    chunks = _chunks(content)
    width, height, _, colour, _ = _header(chunks)
    if colour == PALETTE:
        return height, width, 4 if b"tRNS" in chunks else 3
    return height, width, CHANNELS[colour] + (b"tRNS" in chunks)


def read_png(content):
    """(H, W, C) uint8 pixels of a PNG file's bytes. ValueError says what is wrong with it."""
    chunks = _chunks(content)
    width, height, depth, colour, interlaced = _header(chunks)
    samples = CHANNELS[colour]
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    shapes = [(len(range(y, height, dy)), len(range(x, width, dx))) for y, x, dy, dx in passes]
    rows = [(h, -(-w * samples * depth // 8)) if w else (0, 0) for h, w in shapes]
    data = _unpack(chunks, sum(h * (1 + size) for h, size in rows))
    pixels = np.zeros((height, width, samples), np.uint16)
    for (y, x, dy, dx), (h, w), (_, size) in zip(passes, shapes, rows):
        if h and w:
            part, data = data[: h * (1 + size)].reshape(h, 1 + size), data[h * (1 + size) :]
            lines = _unfilter(part, max(samples * depth // 8, 1))
            pixels[y::dy, x::dx] = _samples(lines, w * samples, depth).reshape(h, w, samples)
    return _colours(pixels, colour, depth, chunks)


def exif(content):
    """The bytes of the eXIf chunk, b"" without one."""
    return _chunks(content).get(b"eXIf", b"")


def _chunks(content):
    """Kind → its data, IDATs joined; checked by their sums."""
    if content[:8] != SIGNATURE:
        raise ValueError("has no PNG signature")
    found, at = {}, 8
    while True:
        if at + 12 > len(content):
            raise ValueError("is cut short")
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        data = content[at + 8 : at + 8 + size]
        if at + 12 + size > len(content):
            raise ValueError("is cut short")
        if zlib.crc32(kind + data) != struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0]:
            raise ValueError(f"has a damaged {kind.decode('latin1')} chunk")
        found.setdefault(kind, []).append(data)
        if kind == b"IEND":
            return {kind: b"".join(parts) if kind == b"IDAT" else parts[0] for kind, parts in found.items()}
        at += 12 + size


def _header(chunks):
    """(width, height, depth, colour type, interlaced)."""
    if len(chunks.get(b"IHDR", b"")) != 13:
        raise ValueError("has no header")
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">2I5B", chunks[b"IHDR"])
    if depth not in DEPTHS.get(colour, ()) or compression or filters or interlace > 1 or not width or not height:
        raise ValueError(f"has a header of {width} × {height}, {depth} bits, colour type {colour}, no PNG has such")
    if b"acTL" in chunks:
        raise ValueError("is animated")
    return width, height, depth, colour, interlace


def _unpack(chunks, size):
    """The filtered rows; not a byte more than `size` is unpacked."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(chunks.get(b"IDAT", b""), size)
    except zlib.error as error:
        raise ValueError(f"has damaged pixels ({error})") from None
    if len(data) != size:
        raise ValueError(f"has {len(data)} bytes of pixels, expected {size}: it is cut short")
    return np.frombuffer(data, np.uint8)


def _unfilter(rows, step):
    """(H, bytes) of rows (H, 1 + bytes), each as it was before its filter; `step`: bytes of a pixel."""
    kinds = rows[:, 0]
    if kinds.max() > 4:
        raise ValueError(f"has a row filter {kinds.max()}, expected 0 to 4")
    lines = rows[:, 1:].reshape(len(rows), -1, step)
    return (_by_rows if kinds.max() < 3 else _by_diagonals)(lines, kinds).reshape(len(rows), -1)


def _by_rows(lines, kinds):
    """Filters 0 to 2: a row needs the one above, or its own sums."""
    known, above = np.empty_like(lines), np.zeros_like(lines[0])
    for kind, line, out in zip(kinds, lines, known):
        out[:] = line + above if kind == 2 else line if kind == 0 else np.cumsum(line, axis=0, dtype=np.uint8)
        above = out
    return known


def _by_diagonals(lines, kinds):
    """All filters: a pixel waits for the one to its left and the row above, so a diagonal is done at once."""
    height, width, step = lines.shape
    known = np.zeros((height + 1, width + 1, step), np.int16)  # with a row above and a column to the left of zeros
    for diagonal in range(height + width - 1):
        y = np.arange(max(diagonal - width + 1, 0), min(diagonal + 1, height))
        x = diagonal - y
        left, up, corner = known[y + 1, x], known[y, x + 1], known[y, x]
        guesses = (np.zeros_like(left), left, up, (left + up) >> 1, _paeth(left, up, corner))
        known[y + 1, x + 1] = (lines[y, x] + np.choose(kinds[y, None], guesses)) & 255
    return known[1:, 1:].astype(np.uint8)


def _paeth(left, up, corner):
    """Of the three neighbours the one nearest to left + up - corner, the first of equals."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)


def _samples(lines, count, depth):
    """(H, count) uint16 of packed rows (H, bytes)."""
    if depth == 16:
        return lines.view(">u2")[:, :count].astype(np.uint16)
    if depth == 8:
        return lines[:, :count].astype(np.uint16)
    bits = np.unpackbits(lines, axis=1)[:, : count * depth].reshape(len(lines), count, depth)
    return bits @ (1 << np.arange(depth - 1, -1, -1)).astype(np.uint16)


def _colours(pixels, colour, depth, chunks):
    """uint8 pixels of samples: palettes looked up, transparent colours as alpha, all on 8 bits."""
    clear = chunks.get(b"tRNS")
    if colour == PALETTE:
        palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8)
        if not len(palette) or len(palette) % 3 or pixels.max() >= len(palette) // 3:
            raise ValueError("has a palette that lacks colours of its pixels")
        table = palette.reshape(-1, 3)
        if clear is not None:
            alpha = np.full(len(table), 255, np.uint8)
            alpha[: len(clear)] = np.frombuffer(clear, np.uint8)[: len(table)]
            table = np.column_stack([table, alpha])
        return table[pixels[..., 0]]
    most = (1 << depth) - 1
    values = ((pixels.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    if clear is None or colour in (4, 6):
        return values
    if len(clear) != 2 * pixels.shape[-1]:
        raise ValueError("has a transparent colour of another kind than its pixels")
    seen = (pixels != np.frombuffer(clear, ">u2")).any(-1, keepdims=True)
    return np.concatenate([values, np.where(seen, 255, 0).astype(np.uint8)], axis=-1)


def write_png(pixels):
    """The PNG file of (H, W, 3) or (H, W, 1) uint8 pixels, without filters."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">2I5B", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return SIGNATURE + b"".join(packed)
