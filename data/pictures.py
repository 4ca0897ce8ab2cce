"""One picture as pixels: PNG and .npy with numpy alone, JPEG and WebP by Pillow where it is installed.

    pixels = read_picture("cat.jpg")      # (H, W, 3) or (H, W, 1) uint8, upright

A file is known by its first bytes, not by its name, and its size is looked at before it is unpacked. Pictures are
turned as their EXIF says. What is transparent lies on white; CMYK becomes RGB; 16 bits become 8.
"""

import contextlib
import io
import struct
import warnings
from pathlib import Path

import numpy as np

from data.errors import DataError
from data.formats import jpeg, png

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".npy")
OTHERS = (".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".svg", ".ppm", ".pgm")
MOST_PIXELS = 64 << 20  # a phone's largest pictures have 50 million
MOST_BYTES = 256 << 20
ORIENTATION = 0x0112  # EXIF's tag
NEED = "JPEG and WebP need Pillow: pip install -r requirements/images.txt, or give PNG"


def read_picture(path):
    """(H, W, C) uint8 of a file, C 1 or 3. Raises DataError, one line that names the file."""
    return decode(_content(Path(path)), path)


def decode(content, name="the picture"):
    """(H, W, C) uint8 of a picture's bytes, C 1 or 3. Raises DataError with `name`."""
    if not content:
        raise DataError(f"{name} is empty, expected a picture: take it away, or save it again")
    with _named(name):
        if content[:8] == png.SIGNATURE:
            _check_size(*png.read_size(content)[:2])
            return _plain(turned(png.read_png(content), orientation(png.exif(content))))
        if content[:6] == b"\x93NUMPY":
            return _plain(_numpy(content))
        return _by_pillow(content)


def read_size(path):
    """(height, width, channels) of a picture by its header, as `read_picture` gives it. Raises DataError."""
    content = _content(Path(path))
    with _named(path):
        if content[:8] == png.SIGNATURE:
            height, width, channels = png.read_size(content)
            _check_size(height, width)
            sizes = (width, height) if orientation(png.exif(content)) > 4 else (height, width)
            return (*sizes, 3 if channels > 2 else 1)
    if content[:6] == b"\x93NUMPY" or not content:
        return decode(content, path).shape
    with _named(path), _opened(content) as image:
        sizes = image.size if orientation(image.info.get("exif", b"")) > 4 else image.size[::-1]
        return (*sizes, 1 if image.mode in ("L", "1") else 3)


@contextlib.contextmanager
def _named(name):
    """Whatever a reader stumbles over, as one DataError with the file's name."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name} {error}" if not str(error).startswith(str(name)) else str(error)) from None
    except MemoryError:
        raise DataError(f"{name} is too large for this machine's memory: save it smaller") from None
    except Exception as error:  # a damaged picture can raise nearly anything
        line = " ".join(str(error).split())[:120]
        raise DataError(f"{name} cannot be read ({line}): save it again") from None


def _content(path):
    try:
        with path.open("rb") as file:
            return read_stream(file, path)
    except (OSError, ValueError) as error:  # ValueError: no path has a zero byte
        line = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the picture {path} ({line}): check its path") from None


def read_stream(file, name):
    """The bytes of an open file; a device or a pipe may have no end. DataError for more than MOST_BYTES."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"{name} has more than {MOST_BYTES} bytes, expected a picture: save it smaller")
    return content


def _check_size(height, width):
    if height * width > MOST_PIXELS:
        raise DataError(f"has {width} × {height} pixels, expected at most {MOST_PIXELS:,}: save it smaller")


def _numpy(content):
    """The array of an .npy file: bytes of pixels, nothing pickled, no more than its header says."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] not in (1, 2, 3, 4) or not array.size:
        raise DataError(f"holds {array.dtype} {array.shape}, expected uint8 (H, W) or (H, W, 1 … 4)")
    _check_size(*array.shape[:2])
    return array


# ------------------------------------------------------------------------------------------------------------- Pillow
def _by_pillow(content):
    pixels, end, turn = _unpacked(content)
    if content[:3] == jpeg.SIGNATURE and jpeg.may_lack(end):
        _check_whole(content, pixels)
    return _plain(turned(pixels if pixels.ndim == 3 else pixels[..., None], turn))


def _check_whole(content, pixels):
    if (_unpacked(jpeg.lengthened(content))[0] != pixels).any():
        height, width = pixels.shape[:2]
        raise DataError(f"has data for a part of its {width} × {height} pixels: it is cut short, save it again")


def _unpacked(content):
    """(pixels grey or RGB, with or without alpha, its last rows as the file has them, EXIF's orientation)."""
    with _opened(content) as image:
        turn = orientation(image.info.get("exif", b""))
        end = np.asarray(image.crop((0, image.height - 1, image.width, image.height)))
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        return np.asarray(image), end, turn


@contextlib.contextmanager
def _opened(content):
    """Pillow's image of JPEG or WebP bytes, its size checked before anything is unpacked."""
    kind = "JPEG" if content[:3] == jpeg.SIGNATURE else "WEBP" if content[8:12] == b"WEBP" else None
    if kind is None:
        raise DataError(f"begins with {content[:4]!r}, expected a PNG, JPEG, WebP or .npy file: save it as one")
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"is a {kind} file, and Pillow is not installed: {NEED}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at here
        try:
            opened = Image.open(io.BytesIO(content), formats=(kind,))
        except Image.DecompressionBombError:
            raise DataError(f"has far more than {MOST_PIXELS:,} pixels: save it smaller") from None
    with opened as image:
        _check_size(*image.size[::-1])
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and kind == "WEBP":  # a JPEG's further pictures are previews and depths: phones write them
            raise DataError(f"is animated ({frames} frames), expected one picture: save one of them")
        yield image


# -------------------------------------------------------------------------------------------------------------- pixels
def orientation(exif):
    """EXIF's orientation, 1 to 8, of a picture's EXIF bytes; 1 where they say nothing (CIPA DC-008, 4.6)."""
    exif = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(exif[:4]))
    if order is None or len(exif) < 10:
        return 1
    at = struct.unpack(f"{order}I", exif[4:8])[0]
    count = struct.unpack(f"{order}H", exif[at : at + 2])[0] if at + 2 <= len(exif) else 0
    for entry in range(at + 2, min(at + 2 + 12 * count, len(exif) - 11), 12):
        tag, _, _, value = struct.unpack(f"{order}HHIH", exif[entry : entry + 10])
        if tag == ORIENTATION and 1 <= value <= 8:
            return value
    return 1


def turned(pixels, turn):
    """(H, W, C) pixels upright: EXIF's orientation 2 mirrors, 3 turns by 180°, 5 to 8 lie on their side."""
    if turn > 4:
        pixels = pixels.transpose(1, 0, 2)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _plain(pixels):
    """(H, W, 1 … 4) uint8 without its alpha: what is transparent lies on white."""
    channels = pixels.shape[-1]
    if channels in (1, 3):
        return pixels
    colours, alpha = pixels[..., :-1].astype(np.uint16), pixels[..., -1:].astype(np.uint16)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
