"""Builds of changed copies of the engine: made once for the same sources, and nothing is left of one that fails."""

import pytest

from hls import cosim
from hls.stress import builds

COMMAND = ["-std=c++14", "-shared", "-fPIC"]
SOURCES = {"main.cpp": b'#include "part.hpp"\nint Main() { return kPart; }\n', "part.hpp": b"const int kPart = 1;\n"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cosim, "BUILD", tmp_path / "build")
    return tmp_path / "build"


@pytest.mark.cosim
def test_the_same_sources_are_built_once(folder):
    command = [cosim.compiler(), *COMMAND]
    first = builds.build("part", command, SOURCES, "main.cpp")
    when = first.stat().st_mtime_ns
    assert builds.build("part", command, SOURCES, "main.cpp") == first and first.stat().st_mtime_ns == when
    changed = builds.build("part", command, {**SOURCES, "part.hpp": b"const int kPart = 2;\n"}, "main.cpp")
    other = builds.build("part", [*command, "-O2"], SOURCES, "main.cpp")
    assert sorted(path for path in folder.iterdir() if path.suffix != ".sha256") == sorted([first, changed, other])


@pytest.mark.cosim
def test_a_failed_build_gives_one_line_and_leaves_nothing_behind(folder):
    with pytest.raises(cosim.CosimError, match=r"failed on main.cpp: .*part\.hpp") as error:
        builds.build("part", [cosim.compiler(), *COMMAND], {"main.cpp": SOURCES["main.cpp"]}, "main.cpp")
    assert "\n" not in str(error.value)
    assert not list(folder.iterdir())


def test_the_engine_s_sources_are_all_there():
    assert {"engine.cpp", "cosim.cpp", "isa.hpp", "chip/layer.hpp", "cpu/layer.hpp"} <= set(cosim.sources())
