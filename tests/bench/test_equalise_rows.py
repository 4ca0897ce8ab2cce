"""The benchmark of equalisation: what it asks for, and the table that its rows become."""

import pytest

from bench.documents import equalise_table
from bench.published.equalise import run
from hls.errors import UserError


def test_no_data_is_one_line():
    with pytest.raises(UserError, match="no --data: give SET=DIR"):
        run(None, {}, None)


def test_a_row_of_the_table_has_both_figures():
    rows = {
        "equalise.cifar10.int8_minus_float@64": {"value": -0.05, "n": 2000},
        "equalise.cifar10.without@64": {"value": -66.06, "n": 2000},
        "cifar10.int8_minus_float": {"value": 1.0, "n": 1},
    }
    assert equalise_table(rows)[2:] == ["| cifar10 | 64 | -0.05 | -66.06 | 2,000 images |"]
