"""PNG against Pillow, an independent reader and writer, on every kind that there is; damage is a ValueError."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.formats.png import CHANNELS, DEPTHS, PALETTE, PASSES, SIGNATURE, exif, read_png, read_size, write_png

Image = pytest.importorskip("PIL.Image")
KINDS = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(rows, step, kinds):
    """Rows (H, bytes) with filters applied, as the specification's section 9 says, a byte at a time."""
    out, above = b"", bytes(rows.shape[1])
    for row, kind in zip(rows.tolist(), kinds):
        guesses = []
        for i in range(len(row)):
            left, up, corner = row[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
            nearest = min((left, up, corner), key=lambda value, near=left + up - corner: abs(near - value))
            guesses.append((0, left, up, (left + up) // 2, nearest)[kind])
        out += bytes([kind]) + bytes((value - guess) % 256 for value, guess in zip(row, guesses))
        above = bytes(row)
    return out


def packed(samples, depth):
    """(H, W · samples) values as rows of bytes."""
    if depth == 16:
        return samples.astype(">u2").view(np.uint8).reshape(len(samples), -1)
    if depth == 8:
        return samples.astype(np.uint8)
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)


def png_of(samples, colour, depth, random, interlaced=False, extra=()):
    """A PNG of (H, W, samples) values with random filters."""
    height, width, count = samples.shape
    data = b""
    for y, x, dy, dx in PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[y::dy, x::dx]
        if part.size:
            rows = packed(part.reshape(len(part), -1), depth)
            data += filtered(rows, max(count * depth // 8, 1), random.integers(0, 5, len(rows)))
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(*one) for one in chunks)


def by_pillow(content, channels):
    """Pillow's 8-bit pixels, for kinds that it does not clip."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.parametrize(("colour", "depth"), KINDS)
@settings(max_examples=8)
@given(height=st.integers(1, 19), width=st.integers(1, 19), seed=st.integers(0, 2**32), interlaced=st.booleans())
def test_every_kind(colour, depth, height, width, seed, interlaced):
    random = np.random.default_rng(seed)
    count, most = CHANNELS[colour], (1 << depth) - 1
    samples = random.integers(0, most + 1, (height, width, count))
    palette = random.integers(0, 256, (most + 1, 3), dtype=np.uint8) if colour == PALETTE else None
    extra = [(b"PLTE", palette.tobytes())] if palette is not None else []
    content = png_of(samples, colour, depth, random, interlaced, extra)
    pixels = read_png(content)
    expected = palette[samples[..., 0]] if palette is not None else np.floor(samples * 255 / most + 0.5)
    assert pixels.dtype == np.uint8 and (pixels == expected).all()
    assert read_size(content) == pixels.shape
    if depth <= 8:
        assert (pixels == by_pillow(content, pixels.shape[-1])).all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_what_pillow_writes(mode):
    """Pillow's own choice of filters, on a picture that it compresses well."""
    x, y = np.meshgrid(np.arange(61), np.arange(37))
    pixels = np.stack([x * 4, y * 6, x + y, 255 - x], -1).astype(np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    found = read_png(content.getvalue())
    assert (found == by_pillow(content.getvalue(), found.shape[-1])).all()


def test_transparent_colours_become_alpha():
    samples = np.array([[[7, 8, 9], [1, 2, 3]]])
    random = np.random.default_rng(0)
    content = png_of(samples, 2, 8, random, extra=[(b"tRNS", struct.pack(">3H", 1, 2, 3))])
    assert read_png(content).tolist() == [[[7, 8, 9, 255], [1, 2, 3, 0]]]
    palette = [(b"PLTE", bytes(range(6))), (b"tRNS", b"\x40")]
    assert read_png(png_of(np.array([[[0], [1]]]), 3, 8, random, extra=palette)).tolist() == [
        [[0, 1, 2, 64], [3, 4, 5, 255]]
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_written_is_read_by_pillow_and_by_us(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    assert (by_pillow(write_png(pixels), channels) == pixels).all() and (read_png(write_png(pixels)) == pixels).all()


def test_exif_is_found():
    content = png_of(np.zeros((1, 1, 1), int), 0, 8, np.random.default_rng(0), extra=[(b"eXIf", b"II*\0")])
    assert exif(content) == b"II*\0" and exif(write_png(np.zeros((1, 1, 1), np.uint8))) == b""


GOOD = write_png(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


def broken(**header):
    values = {"width": 4, "height": 4, "depth": 8, "colour": 2, "compression": 0, "filters": 0, "interlace": 0} | header
    chunks = [(b"IHDR", struct.pack(">2I5B", *values.values())), (b"IDAT", zlib.compress(bytes(52))), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no PNG signature"),
        (GOOD[:30], "cut short"),
        (GOOD[:-12], "cut short"),
        (GOOD.replace(b"IHDR", b"IHDX"), "damaged IHDX"),
        (GOOD[:41] + b"\0" + GOOD[42:], "damaged IDAT"),
        (broken(depth=3), "no PNG has such"),
        (broken(colour=7), "no PNG has such"),
        (broken(width=0), "no PNG has such"),
        (broken(height=40), "cut short"),
        (broken(colour=3), "lacks colours"),
        (SIGNATURE + chunk(b"IEND", b""), "no header"),
        (broken().replace(chunk(b"IEND", b""), chunk(b"acTL", bytes(8)) + chunk(b"IEND", b"")), "animated"),
        (broken().replace(zlib.compress(bytes(52)), b"x" * len(zlib.compress(bytes(52)))), "damaged IDAT"),
    ],
)
def test_damage_is_told(content, expected):
    with pytest.raises(ValueError, match=expected):
        read_png(content)


def test_a_bomb_is_not_unpacked():
    """Ten million zeros behind a header of 4 × 4: no more than the header's bytes leave the stream."""
    header = struct.pack(">2I5B", 4, 4, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**7))), (b"IEND", b"")]
    assert read_png(SIGNATURE + b"".join(chunk(*one) for one in chunks)).shape == (4, 4, 3)


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_damage_never_raises_anything_else(at, value, end):
    content = bytearray(GOOD)
    content[at] = value
    for damaged in (bytes(content), bytes(content[:end])):
        try:
            read_png(damaged)
        except ValueError as error:
            assert "\n" not in str(error)
