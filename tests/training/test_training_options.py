"""The options of training's commands: each is explained, and its default may be given."""

import pytest

from tests.options import assert_explained, parser_of
from training import __main__ as command
from training.costs import scalesim


@pytest.mark.parametrize("word", ["train", "new", "class-exits", "dynamic", "estimate", "sweep"])
def test_every_option_is_explained(word):
    parser = parser_of(command.main, *([] if word == "train" else [word]))
    assert parser.prog == "python -m training" + ("" if word == "train" else f" {word}")
    assert_explained(parser)


def test_what_class_exits_count_time_in_where_nothing_is_said():
    parser = parser_of(command.main, "class-exits")
    given = ["model.pt", "--data", "DIR", "--class", "dog", "-o", "out.pt"]
    assert parser.parse_args(given).measure == "cycles"


def test_every_option_of_the_counts_is_explained():
    assert_explained(parser_of(scalesim.main))
