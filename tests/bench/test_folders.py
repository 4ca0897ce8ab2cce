"""--data reaches the benchmarks as data.arguments.Folders: by its set's name, for all sets, or not at all."""

from types import SimpleNamespace

import pytest

from bench.gates import pool
from bench.published import equalise, imports, where
from data.arguments import Folders
from data.datasets import load_sample
from hls.errors import UserError

OPTIONS = SimpleNamespace(images=5, threads=1)


@pytest.mark.parametrize("texts", [["fashion-mnist=HERE", "cifar10=THERE"], ["HERE"], []])
def test_pooled_budgets_give_it_on(texts, monkeypatch):
    given = []
    monkeypatch.setattr(pool, "load", lambda *arguments: load_sample())
    monkeypatch.setattr(pool, "_measure", lambda *arguments: given.append(arguments[-1]))
    pool.run(None, Folders(texts), OPTIONS)
    folders = {arguments[1]: arguments[arguments.index("--data") + 1] for arguments in given if "--data" in arguments}
    last = {1: "HERE", 2: "THERE"}.get(len(texts))
    assert len(given) == 2 and folders == ({"cifar10": last, "fashion-mnist": "HERE"} if texts else {})


def test_equalisation_takes_the_sets_that_are_given(monkeypatch):
    seen = []
    monkeypatch.setattr(equalise, "measure", lambda rows, path, state, folder, count: seen.append((path.stem, folder)))
    monkeypatch.setattr(equalise.torch, "set_num_threads", lambda count: None)
    equalise.run(None, Folders(["cifar10=THERE"]), OPTIONS)
    assert seen == [("cifar10", "THERE")]
    with pytest.raises(UserError, match="no --data"):
        equalise.run(None, Folders(), OPTIONS)


def test_imports_take_the_set_that_is_given(monkeypatch):
    seen = []
    monkeypatch.setattr(imports, "load", lambda name, split, folder: seen.append((split, folder)) or load_sample())
    imports._data(Folders(["cifar10=THERE"]), 4)
    assert seen == [("train", "THERE"), ("test", "THERE")]


@pytest.mark.parametrize("texts, compared", [(["cifar10=THERE"], ["cifar10"]), ([], [])])
def test_where_time_goes_takes_the_sets_that_are_given(texts, compared, monkeypatch):
    timed, found = [], []
    monkeypatch.setattr(where.torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(where, "test_images", lambda package, folder: (load_sample()[0], folder))
    monkeypatch.setattr(where, "time_rows", lambda rows, name, sha, package, images: timed.append((name, len(images))))
    monkeypatch.setattr(where, "difference_rows", lambda *given: found.append((given[1], given[-1])))
    where.run(None, Folders(texts), OPTIONS)
    assert [name for name, _ in timed] == [*compared, "fashion-mnist"] and {count for _, count in timed} == {5}
    assert found == [(name, "THERE") for name in compared]
