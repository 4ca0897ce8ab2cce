"""The generated files are those of hls/isa.toml."""

from hls.generate import __main__ as generate


def test_generated_files_are_fresh():
    assert generate.main(["--check"]) == 0


def test_a_stale_file_is_named(capsys, monkeypatch):
    stale = generate.ROOT / "docs" / "nowhere.md"
    monkeypatch.setattr(generate, "files", lambda: {stale: "text"})
    assert generate.main(["--check"]) == 1
    assert "docs/nowhere.md is stale: run python -m hls.generate" in capsys.readouterr().err
    assert not stale.exists()
