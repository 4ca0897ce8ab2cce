"""Tools are found on PATH and in their usual places, their versions are read, and what cannot be used is said."""

import pwd
from pathlib import Path

import pytest

from bitstreams.vitis import tools
from tests.bitstreams.standin_tools import install


def find(folder, roots=()):
    return tools.look({"PATH": str(folder)}, roots)


@pytest.mark.parametrize("version", tools.GENERATIONS[tools.CLASSIC][1])
def test_the_older_command_line(tmp_path, version):
    install(tmp_path, ["vivado", "vitis_hls"], version)
    found = tools.choose(find(tmp_path))
    assert (found.generation, found.version) == (tools.CLASSIC, version)
    assert found.path("vitis_hls") == str(tmp_path / "vitis_hls")


@pytest.mark.parametrize("version", tools.GENERATIONS[tools.UNIFIED][1])
def test_the_newer_command_line(tmp_path, version):
    install(tmp_path, ["vivado", "v++", "vitis-run"], version)
    found = tools.choose(find(tmp_path))
    assert (found.generation, found.version) == (tools.UNIFIED, version)


def test_where_both_are_there_one_can_be_asked_for(tmp_path):
    install(tmp_path, ["vivado", "vitis_hls", "v++", "vitis-run"], "2024.1")
    assert tools.choose(find(tmp_path)).generation == tools.CLASSIC
    assert tools.choose(find(tmp_path), tools.UNIFIED).generation == tools.UNIFIED


def test_stages_without_vivado_do_not_ask_for_it(tmp_path):
    install(tmp_path, ["vitis_hls"], "2023.1")
    assert tools.choose(find(tmp_path), vivado=False).version == "2023.1"
    with pytest.raises(tools.ToolsMissing, match="classic: no vivado"):
        tools.choose(find(tmp_path))


@pytest.mark.parametrize("layout", ["Vivado/2023.2/bin", "2025.1/Vivado/bin", "Vitis/2022.2/bin"])
def test_the_usual_places_are_looked_through(tmp_path, layout):
    (tmp_path / layout).mkdir(parents=True)
    install(tmp_path / layout, ["vivado"], "2023.2")
    found = find(tmp_path / "nowhere", [str(tmp_path)])
    assert found["vivado"].path == str(tmp_path / layout / "vivado")


def test_the_vendors_variables_are_looked_at(tmp_path):
    (tmp_path / "bin").mkdir()
    install(tmp_path / "bin", ["vivado"], "2023.2")
    for variable in tools.VARIABLES:
        assert "vivado" in tools.look({"PATH": "", variable: str(tmp_path)}, ())


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ({}, "classic: no vitis_hls and no vivado"),
        ({"vivado": "2022.2", "vitis_hls": "2023.1"}, "are of different releases"),
        ({"vivado": "2022.2", "vitis_hls": "2020.1"}, "vitis_hls is 2020.1, known are 2022.2 to 2024.2"),
        ({"vivado": "2026.1", "v++": "2026.1", "vitis-run": "2026.1"}, "is 2026.1, known are 2023.2 to 2025.2"),
        ({"vivado": "2024.2", "v++": "2024.2"}, "unified: no vitis-run"),
        ({"vivado": "", "vitis_hls": "2022.2"}, "vivado is of an unknown version"),
    ],
)
def test_what_cannot_be_used_is_said_on_one_screen(tmp_path, programs, expected):
    for name, version in programs.items():
        install(tmp_path, [name], version)
    with pytest.raises(tools.ToolsMissing) as missing:
        tools.choose(find(tmp_path))
    text = missing.value.text
    assert expected in text
    lines = text.splitlines()
    assert len(lines) <= 36 and max(map(len, lines)) <= 110
    for wanted in ("PATH", *tools.VARIABLES, *tools.ROOTS, *tools.VERSIONS, "vivado", "vitis-run", "make synth-report"):
        assert wanted in text


@pytest.mark.parametrize(
    ("says", "version", "release"),
    [
        ("2022.2_AR000036", "2022.2", "2022.2_AR000036"),
        ("2022.2.1", "2022.2", "2022.2.1"),
        ("2023.1_AR76780_AR76812", "2023.1", "2023.1_AR76780_AR76812"),
        ("2022.22", "", ""),
        ("2022.2", "2022.2", "2022.2"),
    ],
)
def test_a_patched_release_is_its_version(tmp_path, says, version, release):
    install(tmp_path, ["vivado", "vitis_hls"], says)
    found = find(tmp_path)
    assert {(tool.version, tool.release) for tool in found.values()} == {(version, release)}
    if version:
        assert tools.choose(found).version == version


def test_without_a_home_the_other_places_are_looked_through(monkeypatch, tmp_path):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert Path("/opt/Xilinx/2025.1/Vivado/bin") in tools.folders({}) and not tools.look({}, ("~/Xilinx",))


def test_a_tool_that_cannot_start_has_no_version(tmp_path):
    path = tmp_path / "vivado"
    path.write_bytes(b"\x7fELF broken")
    path.chmod(0o755)
    assert tools.look({"PATH": str(tmp_path)}, ())["vivado"].version == ""


def test_the_command_says_it_with_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(tools, "look", lambda: {})
    assert tools.main() == 2
    assert "Looked for" in capsys.readouterr().out
