"""Pictures in files: what is read, turned upright and laid on white, and one line for what is not."""

import io
import struct
import sys

import numpy as np
import pytest

from data import pictures
from data.errors import DataError
from data.formats.png import write_png
from data.pictures import decode, orientation, read_picture, read_size, turned

Image = pytest.importorskip("PIL.Image")
LETTER = np.array([[9, 9, 9], [9, 0, 0], [9, 9, 0], [9, 0, 0]], np.uint8)[..., None] * np.uint8(20)  # an F


def saved(path, pixels, **options):
    Image.fromarray(pixels.squeeze() if pixels.shape[-1] == 1 else pixels).save(path, **options)
    return path


def smooth(height=24, width=40, channels=3):
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    return np.stack([x, y, (x + y) / 2][:channels], -1).astype(np.uint8)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_file(tmp_path, ending, channels):
    pixels, path = smooth(channels=channels), tmp_path / f"a.{ending}"
    np.save(path, pixels) if ending == "npy" else saved(path, pixels, **({"quality": 95} if ending != "png" else {}))
    found = read_picture(path)
    assert found.shape[:2] == (24, 40) and found.dtype == np.uint8
    assert abs(found.astype(int) - pixels).max() <= (0 if ending in ("png", "npy") else 12)
    assert read_size(path) == found.shape


def test_a_file_is_known_by_its_first_bytes(tmp_path):
    (tmp_path / "a.jpg").write_bytes(write_png(smooth()))
    assert (read_picture(tmp_path / "a.jpg") == smooth()).all()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_exif_turns_a_picture_as_pillow_does(tmp_path, turn, ending):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    path = saved(tmp_path / f"a.{ending}", np.kron(LETTER, np.ones((8, 8, 1), np.uint8)), exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("L"))[..., None]
    found = read_picture(path)
    assert found.shape[:2] == expected.shape[:2] == read_size(path)[:2]
    assert abs(found.mean(-1, keepdims=True) - expected).max() < 3


def test_orientation_of_odd_bytes():
    assert orientation(b"") == orientation(b"II*\0") == orientation(b"Exif\0\0MM\0*" + b"\xff" * 40) == 1
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    assert orientation(b"MM\0*" + struct.pack(">IH", 8, 1) + entry) == 6
    assert turned(LETTER, 6).shape == (3, 4, 1)


def test_transparent_pictures_lie_on_white():
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    content = io.BytesIO()
    Image.fromarray(rgba).save(content, "PNG")
    assert decode(content.getvalue()).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]


def test_sixteen_bits_are_rounded_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").ravel().tolist() == [0, 1, 128, 255]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=95)
    found = read_picture(tmp_path / "a.jpg")
    assert found.shape == (8, 8, 3) and found[..., 0].max() < 20 and found[..., 1:].min() > 235


def animated(path):
    frames = [Image.fromarray(smooth()), Image.fromarray(smooth()[::-1].copy())]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def bad_files(folder):
    """name → (write the file, what its line says)."""
    good = io.BytesIO()
    Image.fromarray(smooth()).save(good, "JPEG")
    huge = struct.pack(">2I5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = write_png(smooth())
    import zlib

    bomb = bomb[:12] + b"IHDR" + huge + struct.pack(">I", zlib.crc32(b"IHDR" + huge)) + bomb[33:]
    return {
        "empty.jpg": (b"", "is empty"),
        "short.jpg": (good.getvalue()[:200], "cannot be read"),
        "header.jpg": (b"\xff\xd8\xff", "cannot be read"),
        "text.png": (b"hello", "begins with b'hell'"),
        "gif.png": (b"GIF89a" + bytes(30), "begins with b'GIF8'"),
        "bomb.png": (bomb, "100000 × 100000 pixels, expected at most"),
        "damaged.png": (write_png(smooth())[:-40], "cut short"),
        "object.npy": (_saved(np.array([{}], object)), "cannot be read"),
        "float.npy": (_saved(np.zeros((4, 4, 3))), "holds float64"),
        "flat.npy": (_saved(np.zeros(4, np.uint8)), "holds uint8"),
        "riff.webp": (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "cannot be read"),
    }


def _saved(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize("name", bad_files(None))
def test_one_line_for_a_file_that_is_no_picture(tmp_path, name):
    content, expected = bad_files(tmp_path)[name]
    path = tmp_path / name
    path.write_bytes(content)
    for read in (read_picture, read_size) if name not in ("short.jpg", "damaged.png") else (read_picture,):
        with pytest.raises(DataError) as error:
            read(path)
        assert str(path) in str(error.value) and expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_animated_pictures_are_refused(tmp_path, ending):
    animated(tmp_path / f"a.{ending}")
    with pytest.raises(DataError, match="is animated"):
        read_picture(tmp_path / f"a.{ending}")


def test_a_phones_jpeg_with_more_pictures_behind_is_its_first_one(tmp_path):
    first = Image.fromarray(smooth())
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.fromarray(smooth(12, 20))], quality=95)
    found = read_picture(tmp_path / "a.jpg")
    assert found.shape == read_size(tmp_path / "a.jpg") == (24, 40, 3)
    assert abs(found.astype(int) - smooth()).max() <= 12


def test_a_bomb_is_refused_without_a_warning_besides(tmp_path, monkeypatch, recwarn):
    path = saved(tmp_path / "a.jpg", smooth())
    monkeypatch.setattr(pictures, "MOST_PIXELS", 900)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)  # 960 pixels: Pillow warns from here to twice as many
    with pytest.raises(DataError, match="40 × 24 pixels, expected at most 900"):
        read_picture(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # and at more than twice as many it refuses by itself
    with pytest.raises(DataError, match="has far more than 900 pixels: save it smaller"):
        read_picture(path)
    assert not list(recwarn)


def test_a_device_without_an_end_is_not_read_to_it(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="/dev/zero has more than 1000 bytes"):
        read_picture("/dev/zero")


def patched(content, width, height):
    """A JPEG whose header claims another size."""
    found = bytearray(content)
    at = next(at for at in range(len(found)) if found[at] == 0xFF and found[at + 1] in (0xC0, 0xC1, 0xC2))
    found[at + 5 : at + 9] = struct.pack(">2H", height, width)
    return bytes(found)


WAYS = ({}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"optimize": True, "quality": 30})


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_jpeg_that_claims_more_than_it_holds(tmp_path, mode, options):
    path, noise = tmp_path / "a.jpg", np.random.default_rng(1).integers(-20, 20, (104, 168, 3))
    Image.fromarray((smooth(104, 168) + noise).clip(0, 255).astype(np.uint8)).convert(mode).save(path, **options)
    content = path.read_bytes()
    for width, height in ((168, 120), (184, 104), (900, 700)):
        path.write_bytes(patched(content, width, height))
        with pytest.raises(DataError, match=f"a.jpg has data for a part of its {width} × {height} pixels: it is cut"):
            read_picture(path)
    assert decode(content).shape[:2] == (104, 168)


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_claims_more_than_it_holds(tmp_path, lossless):
    path = saved(tmp_path / "a.webp", smooth(), lossless=lossless)
    content, sizes = bytearray(path.read_bytes()), (struct.pack("<2H", 40, 24), struct.pack("<I", 39 | 23 << 14)[:3])
    wider = struct.pack("<2H", 900, 700), struct.pack("<I", 899 | 699 << 14)[:3]
    at = bytes(content).index(sizes[lossless])
    content[at : at + len(wider[lossless])] = wider[lossless]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.webp cannot be read"):
        read_picture(path)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_jpeg_may_end_in_the_grey_of_missing_data(options):
    pixels, content = smooth(104, 168), io.BytesIO()
    pixels[64:] = 128
    Image.fromarray(pixels).save(content, "JPEG", **options)
    found = decode(content.getvalue())
    assert found.shape == (104, 168, 3) and (found[-8:] == 128).all()
    phone = io.BytesIO()
    Image.fromarray(pixels).save(phone, "MPO", save_all=True, append_images=[Image.fromarray(pixels)], **options)
    assert (decode(phone.getvalue()) == found).all()
    filled = content.getvalue().replace(b"\xff\xda", b"\xff\xff\xff\xda").replace(b"\xff\xd9", b"\xff\xff\xd9")
    assert (decode(filled) == found).all()


def test_a_large_jpeg_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.jpg", smooth())
    monkeypatch.setattr(pictures, "MOST_PIXELS", 900)
    with pytest.raises(DataError, match="40 × 24 pixels, expected at most 900"):
        read_picture(path)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.png", tmp_path, "a\0b.png"):
        with pytest.raises(DataError, match="cannot read the picture"):
            read_picture(path)


def test_without_pillow_png_is_read_and_jpeg_says_what_it_needs(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.jpg", smooth())
    for name in [name for name in sys.modules if name.split(".")[0] == "PIL"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert (decode(write_png(smooth())) == smooth()).all()
    with pytest.raises(DataError, match=r"a.jpg is a JPEG file, and Pillow is not installed: .* requirements/images"):
        read_picture(path)
