"""host/run.py --image and --camera: lines, JSON and picture; one line for whatever is wrong."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.standin import tiny
from data.datasets import load_sample
from data.errors import DataError
from data.formats.png import write_png
from host import job
from host import run as command
from host.front import command as front
from host.front.camera import LOST, frames
from host.front.engine import Engine


@pytest.fixture
def package(tmp_path):
    return tiny.save(tmp_path / "tiny.npz")


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("shoe", "été")]
    for path, pixels in zip(paths, load_sample()[0]):
        path.write_bytes(write_png(pixels))
    return paths


def run(capsys, package, *argv):
    code = command.main(["--package", str(package), "--backend", "golden", *map(str, argv)])
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1 and "Traceback" not in err
    return code, out, err.removeprefix("run: ").strip()


def test_lines_for_people(capsys, package, pictures):
    code, out, err = run(capsys, package, "--image", *pictures)
    assert (code, err) == (0, "")
    expected = Engine(package, backend="golden").predict(pictures)
    for path, one in zip(pictures, expected):
        assert f"{path}: {one.name} {one.probability:.1%}" in out
        assert one.joules is not None
        assert f"{one.seconds * 1e3:.3g} ms (modelled), {one.joules * 1e3:.3g} mJ (modelled)" in out
    for words in (
        "budget none",
        "crop to 32 × 32",
        "end (end)",
        "gated blocks",
        "FLOPs",
        "ms (modelled)",
        "mJ (modelled)",
    ):
        assert words in out


def test_json_for_programs(capsys, package, pictures, tmp_path):
    code, out, _ = run(capsys, package, "--image", *pictures, "--json", "-")
    found = json.loads(out)
    assert code == 0 and [one["image"] for one in found["images"]] == list(map(str, pictures))
    with Engine(package, backend="golden") as engine:
        expected = engine.predict(pictures)
    for one, right in zip(found["images"], expected):
        shares = dict(zip(tiny.CLASSES, right.probabilities.tolist()))
        assert one["probabilities"] == pytest.approx(shares, abs=1e-6) and one["class"] == right.name
        assert (
            right.joules is not None
            and one["time_ms"] == 1e3 * right.seconds
            and one["energy_mj"] == 1e3 * right.joules
        )
        assert (one["label"], one["flops"], one["cycles"]) == (right.label, right.flops, right.cycles)
    one = found["images"][0]
    assert one["time_kind"] == one["energy_kind"] == "modelled" and one["flops"] > 0 and one["exit"] == "end"
    assert found["fit"] == {"size": [32, 32], "channels": 3, "how": "crop"}
    run(capsys, package, "--image", pictures[0], "--json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["images"][0] == one


def test_pictures_keep_the_order_that_they_were_given_in(capsys, package, pictures):
    forwards, backwards = (
        json.loads(run(capsys, package, "--image", *order, "--json", "-")[1])["images"]
        for order in (pictures, pictures[::-1])
    )
    assert forwards == backwards[::-1] and forwards[0]["probabilities"] != forwards[1]["probabilities"]


def test_standard_input(capsys, package, pictures, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(pictures[0].read_bytes())))
    code, out, _ = run(capsys, package, "--image", "-")
    assert code == 0 and "standard input: " in out
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    assert run(capsys, package, "--image", "-")[::2] == (
        2,
        "standard input is empty, expected a picture: take it away, or save it again",
    )


def test_standard_input_that_is_closed(capsys, package, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    code, _, err = run(capsys, package, "--image", "-")
    assert code == 2 and "standard input is closed" in err


def test_a_package_that_is_named_is_not_written_over(capsys, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "PACKAGES", tmp_path)
    before = Path(tiny.save(tmp_path / "tiny.npz")).read_bytes()
    code, _, err = run(capsys, "tiny", "--image", pictures[0], "--json", tmp_path / "tiny.npz")
    assert code == 2 and "which is read" in err and (tmp_path / "tiny.npz").read_bytes() == before


def test_the_picture_shows_what_ran(capsys, package, pictures, tmp_path):
    assert run(capsys, package, "--image", *pictures, "--picture", tmp_path / "a.svg")[0] == 0
    text = (tmp_path / "a.svg").read_text()
    titles = [element.text or "" for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}title")]
    expected = Engine(package, backend="golden").predict(pictures)
    shown = ["skipped" if one.trace[0] < 0 else "4 of 4 channels" for one in expected]
    assert [title.split(": ")[1] for title in titles if title.startswith("block 0: ") and " to " not in title] == shown
    assert "what ran for each picture" in text and "été.png" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--image", "none.png"], "cannot read the picture none.png"),
        (["--image", "PACKAGE"], "begins with b'PK"),
        (["--image", "SHOE", "--data", "x"], "--data is for labelled data"),
        (["--image", "SHOE", "--watch"], "--watch is for labelled data"),
        (["--image", "SHOE", "--images", "3"], "--images counts labelled data"),
        (["--image", "SHOE", "--camera", "0"], "both give pictures"),
        (["--image", "SHOE", "--budget", "1"], "has no unit"),
        (["--image", "SHOE", "--picture", "a.png"], "another ending than .svg"),
        (["--camera", "0", "--json", "-"], "--timeline and --layers are of pictures in files"),
        (["--camera", "0", "--layers"], "of pictures in files: leave them away with --camera"),
        (["--camera", "0"], "--camera needs OpenCV"),
    ],
)
def test_bad_input_is_one_line(capsys, package, pictures, options, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    words = {"PACKAGE": package, "SHOE": pictures[0]}
    code, out, err = run(capsys, package, *(words.get(word, word) for word in options))
    assert (code, out) == (2, "") and expected in err, err


# --------------------------------------------------------------------------------------------------------------- camera
class Camera:
    """cv2.VideoCapture in software: pictures of one value each, then none."""

    def __init__(self, values, opened=True):
        self.values, self.opened, self.released = list(values), opened, False

    def isOpened(self):
        return self.opened

    def read(self):
        if not self.values:
            return False, None
        return True, np.full((48, 64, 3), self.values.pop(0), np.uint8) * np.array([1, 0, 0], np.uint8)

    def release(self):
        self.released = True


def test_pictures_of_a_camera_are_rgb_and_it_is_given_back():
    camera = Camera([5, 6])
    library = SimpleNamespace(VideoCapture=lambda number: camera)
    found = []
    with pytest.raises(DataError, match=f"gave {LOST} times no picture"):
        for pixels in frames(0, library):
            found.append(pixels[0, 0].tolist())
    assert found == [[0, 0, 5], [0, 0, 6]] and camera.released
    shut = Camera([], opened=False)
    with pytest.raises(DataError, match="no such camera"):
        next(frames(3, SimpleNamespace(VideoCapture=lambda number: shut)))
    assert shut.released


def test_a_line_for_each_picture_of_the_camera(capsys, package, monkeypatch):
    monkeypatch.setattr(front, "frames", lambda number: iter(load_sample()[0]))
    code, out, err = run(capsys, package, "--camera", 0, "--images", 3)
    assert (code, err) == (0, "") and len(out.splitlines()) == 3 and all("FLOPs" in line for line in out.splitlines())
