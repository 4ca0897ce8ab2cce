"""hls4ml's project of a package: its C simulation gives the engine's logits, integer for integer."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("hls4ml", reason="pip install -r requirements/hls4ml.txt")

from bench.networks.onnx_writer import Writer
from bench.published import peer
from export import __main__ as command
from export.compile.static import Layer
from export.with_hls4ml import project
from hls.errors import UserError
from hls.package import write
from tests.export.compile.test_static import packed

WORD = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 40), st.booleans()).map(
    lambda parts: parts[0] | parts[1] << 16 | (-(2**31) if parts[2] else 0)
)


def small(seed=0, size=(8, 8)):
    """A package of a network with a max pool, and images of its size."""
    writer = Writer(size=size, seed=seed)
    x = writer.pool(writer.relu(writer.conv("image", 4, 3)), "MaxPool", 2, 2)
    writer.gemm(writer.mean(writer.relu(writer.conv(x, 6, 3))), 3)
    return packed(writer)


@pytest.fixture
def package(tmp_path):
    """The path of one."""
    write(tmp_path / "p.npz", small()[0])
    return tmp_path / "p.npz"


def bits_of(kind):
    """(signed, width, whole bits) of a precision."""
    width, whole = kind[kind.index("<") + 1 : -1].split(",")[:2]
    return not kind.startswith("u"), int(width), int(whole)


@given(st.lists(WORD, min_size=1, max_size=8))
def test_a_type_of_scales_holds_all_of_them_exactly(words):
    values, kind = project._scales(np.array(words, np.int64))
    signed, width, whole = bits_of(kind)
    steps = values * 2.0 ** (width - whole)
    low = -(2 ** (width - 1)) if signed else 0
    assert (steps == np.round(steps)).all() and steps.min() >= low and steps.max() < 2 ** (width - signed)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8))
def test_the_narrowest_type_of_whole_numbers(values):
    _, width, whole = bits_of(project._integers(np.array(values, np.int64)))
    assert width == whole and -(2 ** (width - 1)) <= min(values) and max(values) < 2 ** (width - 1)
    narrower = 2 ** (width - 2)
    assert width == 2 or min(values) < -narrower or max(values) >= narrower


@pytest.mark.cosim
@pytest.mark.parametrize("network", [peer.gated, peer.plain])
def test_its_c_simulation_gives_the_engines_logits(network, tmp_path):
    """Gates open, exits away, padding, strides, both pools, a Flatten: every logit of every image."""
    train, rest = peer._splits()
    found = peer.pack(network(), peer._source("small"), peer.Parts(train, rest, "sample", 32, 8))
    images = rest.images.permute(0, 2, 3, 1).contiguous().numpy()[:24]
    model = project.write_project(found, tmp_path / "project")
    peer.compile_lightly(model)
    assert len(np.unique(model.predict(project.codes(found, images)))) > 100
    assert peer.agreement(project, model, found, images) == 1


def test_the_command_writes_a_project(package, tmp_path, capsys):
    folder = tmp_path / "project"
    assert command.main([str(package), "--hls4ml", str(folder)]) == 0
    assert "hls4ml project of" in capsys.readouterr().out
    top = (folder / "firmware" / "static_part.cpp").read_text(encoding="utf-8")
    assert (
        top.count("nnet::conv_2d_cl<") == 2
        and top.count("nnet::normalize<") == 4
        and "nnet::depthwise_conv_2d_cl<" in top
    )
    defines = (folder / "firmware" / "defines.h").read_text(encoding="utf-8")
    assert "ap_ufixed<8,8,AP_RND,AP_SAT,0>" in defines and "ap_fixed<25,25,AP_TRN,AP_SAT,0>" in defines
    assert np.load(folder / "image_codes.npy").shape == (3, 256)
    assert "build_lib.sh" in (folder / "README.txt").read_text(encoding="utf-8")


def failing(arguments, capsys):
    """The line that a command ends with, by exit code 2."""
    try:
        assert command.main(arguments) == 2
    except SystemExit as end:
        assert end.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_bad_input_is_one_line(package, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "broken.npz").write_bytes(b"none")
    new = str(tmp_path / "new")
    lines = {
        "is a package already: give --hls4ml DIR": [str(package)],
        "--output changes nothing of": [str(package), "--hls4ml", new, "-o", str(tmp_path / "q.npz")],
        "full is there already: give a new folder": [str(package), "--hls4ml", str(tmp_path / "full")],
        "broken.npz: starts with": [str(tmp_path / "broken.npz"), "--hls4ml", new],
        "give the package to write: -o FILE.npz": ["model.onnx"],
    }
    for text, arguments in lines.items():
        assert text in failing(arguments, capsys)
    assert not (tmp_path / "new").exists()


def test_without_hls4ml_the_command_says_what_to_install(package, tmp_path, capsys, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name}", name="hls4ml")

    monkeypatch.setattr(importlib, "import_module", missing)
    line = failing([str(package), "--hls4ml", str(tmp_path / "new")], capsys)
    assert line == "error: --hls4ml needs hls4ml: pip install -r requirements/hls4ml.txt"


def test_what_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(project.np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        project.write_project(small()[0], tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_what_hls4ml_would_get_wrong_is_refused():
    """It pads a max pool of unsigned codes by their middle, so zeros are put around them; negative ones have none."""
    layers, image = project._Layers(), Layer("image", "image", [], 2, (8, 8))
    pool = Layer("max", "max1", [image], 2, (5, 5), kernel=2, stride=2, padding=1)
    with pytest.raises(UserError, match="max1: a max pool with padding of negative codes is not written for hls4ml"):
        layers._max(pool)
    image.signed = pool.signed = False
    layers._max(pool)
    assert [layer["class_name"] for layer in layers.found] == ["ZeroPadding2D", "MaxPooling2D"]
    pool.kernel = 3
    with pytest.raises(UserError, match="max1: hls4ml's streams have no max pool of 3×3 at stride 2"):
        layers._max(pool)


def test_a_view_is_cut_or_grown():
    image = Layer("image", "image", [], 2, (9, 9))
    for size, kind in (((7, 8), "Cropping2D"), ((10, 9), "ZeroPadding2D")):
        layers = project._Layers()
        layers._view(Layer("view", "view1", [image], 2, size))
        (found,) = layers.found
        assert found["class_name"] == kind and (found["out_height"], found["out_width"]) == size
    with pytest.raises(UserError, match="cut one way and grows the other"):
        project._Layers()._view(Layer("view", "view1", [image], 2, (8, 10)))
