"""Packages of few and many classes and of larger images; classes that are not those of the data are one line."""

import numpy as np
import pytest

from export.build import Source, build
from hls import golden
from hls.errors import UserError
from hls.package import read, write
from hls.record import decode
from tests.export.random_networks import Case, quantised, random_images


def source_of(case, classes=None):
    names = tuple(f"class {i}" for i in range(classes or case.classes))
    return Source("net", "cifar10", case.mean, case.std, names, {})


def package_of(case, **options):
    return build(quantised(case, random_images(case, 4)), source_of(case, **options), {})


@pytest.mark.parametrize("classes", [1, 2, 3, 20, 100])
def test_any_number_of_classes_runs(classes, tmp_path):
    case = Case((1, 1), exits=(0,), classes=classes)
    write(tmp_path / "p.npz", package_of(case))
    package = read(tmp_path / "p.npz")
    start = package.start()
    records = golden.run(package.program, package.weights, package.tables, random_images(case, 3, 1), start)
    results = decode(records, start)
    assert (results.status == 0).all() and (results.label < classes).all() and package.classes == classes


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_other_classes_than_the_datas_are_one_line(classes):
    case = Case((1, 1), classes=classes)
    message = rf"the network tells {classes} classes apart, cifar10 has 10 \(class 0, class 1, class 2 …\)"
    with pytest.raises(UserError, match=message) as raised:
        package_of(case, classes=10)
    assert "EXIT" not in str(raised.value) and "\n" not in str(raised.value)


def test_images_of_twice_the_side_cost_four_times_as_much():
    costs = []
    for side in (32, 64):
        case = Case((1, 1, 1), exits=(0,), size=(side, side))
        costs.append(np.array([[item["flops"], item["cycles"]] for item in package_of(case).exits], float))
    ratio = costs[1] / costs[0]
    assert (ratio[:, 0] > 3.9).all() and (ratio[:, 0] <= 4).all() and (ratio[:, 1] > 3).all(), ratio
