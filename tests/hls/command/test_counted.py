"""Numbers of things in a sentence."""

from hls.command.words import counted


def test_one_has_no_s():
    assert [counted(n, "thread") for n in (0, 1, 2, 1234)] == ["0 threads", "1 thread", "2 threads", "1,234 threads"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
