"""A newcomer's way, in a minute: fewer pictures, a smaller network, fewer steps than `python -m bench newcomer`."""

import pytest

from bench.front import newcomer
from hls.errors import UserError


@pytest.mark.cosim
def test_the_whole_way(tmp_path):
    """Folder → recipe → training → package → one picture, by the commands; far better than by chance (one in three)."""
    found, said = newcomer.way(tmp_path, "grey_png", threads=1, each=60, depth=8, epochs=60)
    assert found["images"] == 27 and found["accuracy"] >= 0.7
    assert (
        said.count("$ python") == 7 and str(tmp_path) not in said and max(map(len, said.splitlines())) < newcomer.WIDTH
    )
    assert found["predict_seconds"] < found["seconds"] and found["recipe_seconds"] > 0


def test_a_command_that_fails_is_one_line():
    with pytest.raises(UserError, match=r"-m training none.toml … ended with 2: training: no recipe none.toml"):
        newcomer._python("-m", "training", "none.toml")


def test_long_lines_are_wrapped():
    assert newcomer._wrapped("short") == ["short"]
    command = newcomer._wrapped("$ python " + "word " * 30)
    assert command[0].endswith("\\") and command[1].startswith("    word") and not command[-1].endswith("\\")
    assert max(map(len, newcomer._wrapped("word " * 60))) < newcomer.WIDTH


def test_the_promise_is_read():
    assert newcomer._promised("wrote x: about 12 minutes of training here, on 2 threads") == 720
    assert newcomer._promised("about 50 seconds of") == 50
    with pytest.raises(UserError, match="told no time"):
        newcomer._promised("wrote x")
