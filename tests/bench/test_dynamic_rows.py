"""`python -m bench dynamic` in short: a smaller network, one epoch; the figures are there and fit together."""

import pytest

from bench.published import dynamic
from bench.rows import Rows


@pytest.mark.cosim
def test_the_whole_way(tmp_path, monkeypatch):
    found = dynamic.way(tmp_path, threads=1, depth=8, epochs=1)
    assert found["images"] > 100 and found["gates"] == 3 and found["exits"] >= 1
    assert 0.4 < found["file_accuracy"] < 1 and found["accuracy"] > 0.12 and 0 < found["first_exit_accuracy"] < 1
    assert 0 < found["flops_share"] < 1.5 and found["processor_seconds"] > 1
    rows = Rows("dynamic", "test")
    monkeypatch.setattr(dynamic, "way", lambda folder, threads: dict(found))
    dynamic.run(rows, None, type("Options", (), {"threads": 1}))
    assert {row["name"] for row in rows.rows} == {f"dynamic.{name}" for name in found if name != "images"}
    assert {row["unit"] for row in rows.rows} == {"share", "gates", "exits", "s"}
