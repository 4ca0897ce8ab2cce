"""CIFAR-100 and SVHN from small files in their official layouts; SVHN's as scipy writes them."""

import base64
import hashlib
import pickle
import zlib

import numpy as np
import pytest

from data import sets
from data.arguments import Folders, folder_of, split
from data.datasets import DATASETS, DataError, load
from data.formats.mat import read_mat
from tests.data.test_datasets import write_archive

# scipy.io.savemat(file, {"X": X, "y": y}, do_compression=…) of scipy 1.17.1, X and y as below.
MATS = {
    True: (
        "eNq1lG1MU2ccxW8LbUUEVKwOHG+bRFNAcVI2UGAwWUSp6PD6KOIDwyBDwRe6hQq23qqzm4jOuYo2gBEUzL2jFQ1Dxm25m4gKA6dS"
        "RBB7jYOAUHgoAwblZZptyeaHJfuw8+V/cnLy+387kvBN0eERnuKl/p6S8E1+O1PTkj3/b2F/iRMlcXp53HgYJss3t6Xui8mcVzd4"
        "aK5d+epa91p34Tbbcnz26khe+Ozs2ZeFtQ+KWlpg2+qNcc1n44qbtc0fNRuEkebDrSKv70DIMasl06Drl0l39P+S+1N+0NCTlKaU"
        "rvEb8drgH5bm5U00eZ2q7DWfKl1lsHyTNSq7c0bi/u7YoyhFdc1YjCVTG3WgxmnL5uTnquxthcf1LdODC/pjLY1+FUVtJVcny5o+"
        "1Q+m9l9KChOU6aqtxc/dpnMP+U8MPwq9vs63jL44VXjnTIFOYekeesve51uHjsd9a6w5+gFvw7mveldO3xLG9vbtUvh2ZZisN6Ec"
        "34Pnpj9TtRUOnA/sftz65gr76Xk3SlpOlqjaJ50zM+8MDQbVODx9gu5dud6xR3F2eZs0SzmWDI6lpR+82ljlXulcePLulOSih0Qa"
        "4qJOj5vyqJ9I0jSkXxvI/7qBmtqp8YnJGPRWK8pGVanaopzQLcA6+kVxSVW9Tlulv5twf0G0FDc96H6/t6ba9E6jMdF0u7Q63gNd"
        "SNXOXxy8vWd039GGAKBaJ3+gMuSfaw8AupVHrtcduCdK0uxO7MqDK2YuXZKi2X3p9qaaA5djD0ukW8uXNybfqgvIEy58GL85Lfq/"
        "BXJr6pFfzSknWioHQiNNhntpcutUzrBZoL1f6XENNylaFXLr6cXD5tvxLZUemcCk+DG24mBn54YGAB1fN0nFZ3W1H/olfJkbZ5i7"
        "sOKgd+CusbVpzRZ165VOn/KN/1bobo/xIPeG7c43yHUu4yOTXT3tTltK9oZ9ojdM/lwwPnLTqaf9VDC1N2xEY5j8TTA+4pzwkrlM"
        "FWewZLxu/uPrvxfqqnR9eh0BYgiwh6FWMVQRQ1kY6gVD8RlqPkM5MhRkKCVDnWaoKIZaxBojWKOINe5kjZA17meNkSyukSY8zk7g"
        "6Ao5ulVKMEYAbwIIlaCCALlKUEaAAiWQK8EHBNhBgIcEkBJgHQF6CdCuBAIClCoBIEBPkzx5QM6js+xoCx8KbaGaD3EONPKg2AZW"
        "8OBnNnBYAB0EUILBRlvYKIBlGEzHoJkL3fiwwAZ2YDAko98ne8CHxfmo3k3WaUNbBJDH1UUQ4GOGWsPis5DIUabGaFcerZlFr+VD"
        "Py4s48N0DjTbwAIMbufCjv1/IuajentZp4CeiUEeRxehBM8YagmL+yKRu0w9g3a1pzWOtMaejptJr+VBMwbdbGEBB27nwY7MPxDG"
        "l5T1LO7F4i4sjrN4CIvbIpGrzOgmE2MyMVcmniMT28sqMJmaS7fNoNsc6GAuHexEf29HZ/U9ASNPAUNFs2oBEi1D5BuI5CKSj0gv"
        "RHoj8m1EVg7Jj+tNpe+NqvWjQvQiCIlWIlEYIhchci4iAxFph0gxIu0ReeGfTTESLUCkPyJ9EemKyFBEBiHSDZGqockx6+TUxKGt"
        "Kemlr0ZShL0ayec7EhP9saRAzy4saT1/RuLnlq3EuTknXFxEygDnDUdP55x3xlwEHOx3nQnReg=="
    ),
    False: (
        "eNrt2210znUcx/Frt7ZhmNxN5nI3mTYzbe4yXRPauCbMMCHTponJRI0QhRCFEIUQhRCFEIUQhRCFEDUakWHuHvVV+/eo3/f96H96"
        "8p9znevB7Jzv+Z7P73N+r3P+f68nraMnyR0fE+v2etKis3MGZbnt/nFZPz7J3lD5ahbrcgXKd5B8gkt+FSCf8vJxl3z85ON//0/k"
        "Xw/59r3/n+TvXBPKvR2xNHr9ozs6fJ9xNufqS76TKsxxL2v0WeIu75Gnzj1XZkb196PWNt/+xIHuP2dfHn7vtdBZNZY8vK7lVymH"
        "ep559sqLVRfU/zhha9v9aSf6/553e1zpt8IXNVjTbFv779JPZV164e6rdVc0+Txpb+fjTxcMuTkmaFqV9yJXxW95fF/XnzIvDr31"
        "SsibsRtaf516tPf5QUWjAqY8MK/OR3GbPHuePNb3t9wbo0u9Ufld01zXRvpPrvhO7Q9Nc/lMLD+75gcxn5rmKjvzwcUNP2nxpWmu"
        "agsfWt30i3bfmuaqt/KRzW2+6fKjaa7GGx/b3emHPr+a5mq1s+PhXr8M/NM0V/LBHqcH/DHCZZqr28lnCofdGV/GNFe/C88Xjw2e"
        "XtU01+DrLwdOrTS/rmmufL/Xw+bWWh5rmsuKjWkuKzamuazYmOayYmOay4qNaS4rNqa5rNiY5rJiY5rLio1pLis2prms2JjmsmJj"
        "msuKjWkuKzamuazY6NsvGKJvv2iUvn3fSfr2Q2fp2w9fpG8/cpW+/bhN+vYTd+nbTzmkbz/9lL79zIv69nNvqOUrh0MtXzkcavnK"
        "4VDLVw6HWr5yONTyldio5SuxUctXYqOWr8RGLV+JjVq+Ehu1fCU2avlKbNTyldio5SuxUctXYqOWr8RGLV+JjVq+Ehu1fCU2+vYL"
        "h+nbLx6rbz9wqr79sLn69iOW6tuPWqtvP2Grvv2kvfr2U4/q2884q28/+7K+/bzbavnK4VDLVw6HWr5yONTylcOhlq8cDrV8JTZq"
        "+Ups1PKV2KjlK7FRy1dio5avxEYtX4mNWr4SG7V8JTZq+Ups1PKV2KjlK7FRy1dio5avxEYtX4mNc7+y934FvLoGvPIBXpUFXlUD"
        "XtUDXjUGXrUCXiUDr7oBr/oBrwYDr/KBVxOAVzOAVwuAVyuAVxuAVzuAVweAVyeAVwXO/cre+xXw6ibwKgB4VQF4VQN41QB4FQ+8"
        "8gCvvMCrnsCrLODVUODVaODVZODVbODVYuDVauDVZuDVbuDVYeDVaeBVoXO/svd+Bby6A7wKBl5VAl7VAl5FA6+aA6/aAq86A696"
        "A69ygFfDgVfjgFfTgFfzgFfLgFfrgFfbgFf7gFfHgFfngFdXnPuVvfcr4FUR8MoXeBUKvAoHXkUCr+KAV4nAqxTgVTrwKhN4lQu8"
        "Ggm8mgi8mgm8Wgi8Wgm82gi82gm8Ogi8Ogm8uuDcr+y9XwGvioFXgcCrMOBVBPAqCniVALxKAl6lAq8ygFfZwKs84NUY4NUU4NUc"
        "4NUS4NUa4NUW4NUe4NUR4NUZ4NUl535l7/0KeHUXeBUCvKoMvKoNvIoBXrUAXrUDXnUBXvUBXg0EXo0AXo0HXk0HXs0HXi0HXq0H"
        "Xm0HXu0HXh0HXp0HXl117lf23q+AV9eBV37Aq3LAq+rAq/rAqybAq9bAqw7Aq+7Aq/7O8yn2Pp/i3K/svV8Br24Br0oBryoCr2oC"
        "rxoCr5oCr9oArzoBr3oBrwY4z6fY+3yKc7+y934FvLoHvCoNvKoCvKoDvGoEvGoJvGoPvOoKvOrrPH/+/z5/HlryGsB/vT8Q9O87"
        "A/+8N5D/93sD/i6fEL/gvwA0+4CQ"
    ),
}
X = (np.arange(32 * 32 * 3 * 4) % 251).astype(np.uint8).reshape(32, 32, 3, 4)
Y = np.array([[1], [10], [3], [9]], np.uint8)


def one_line(expected, work, *arguments):
    with pytest.raises(DataError, match=expected) as error:
        work(*arguments)
    assert "\n" not in str(error.value)


def mat(compressed):
    return zlib.decompress(base64.b64decode(MATS[compressed]))


@pytest.fixture
def small(monkeypatch):
    for key, count in {("cifar100", "test"): 100, ("cifar100", "train"): 200, ("svhn", "test"): 4}.items():
        monkeypatch.setitem(sets.SPLIT_SIZES, key, count)


# ------------------------------------------------------------------------------------------------------------ CIFAR-100
def batch(count=100):
    rows = np.random.default_rng(count).integers(0, 256, (count, 3072), dtype=np.uint8)
    return {
        b"data": rows,
        b"fine_labels": [i % 100 for i in range(count)],
        b"coarse_labels": [i % 20 for i in range(count)],
    }


def test_cifar_100_unpacked_and_in_its_archive(tmp_path, monkeypatch, small):
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "test").write_bytes(pickle.dumps(batch()))
    images, labels = load("cifar100", "test", tmp_path)
    assert (images.transpose(0, 3, 1, 2).reshape(100, -1) == batch()[b"data"]).all() and labels.tolist() == list(
        range(100)
    )
    (tmp_path / "x").mkdir()
    members = {"train": pickle.dumps(batch(200)), "test": pickle.dumps(batch()), "meta": b"", "file.txt~": b""}
    archive = write_archive(tmp_path / "x", monkeypatch, members, "cifar-100-python")
    for given in (archive, tmp_path / "x"):
        assert len(load("cifar100", "train", given)[0]) == 200


def test_cifar_100_that_is_not(tmp_path, small):
    for change, expected in (
        ({b"fine_labels": [0] * 100}, "not CIFAR-100"),
        ({b"fine_labels": [100] * 100}, "labels 0 … 99"),
    ):
        (tmp_path / "test").write_bytes(pickle.dumps({**batch(), **change}))
        one_line(expected, load, "cifar100", "test", tmp_path)
    assert len(DATASETS["cifar100"].classes) == len(set(DATASETS["cifar100"].classes)) == 100
    assert list(DATASETS["cifar100"].classes) == sorted(DATASETS["cifar100"].classes)


def test_superclasses_are_the_archive_s_coarse_labels(tmp_path, small):
    (tmp_path / "test").write_bytes(pickle.dumps(batch()))
    images, labels = load("cifar100-superclasses", "test", tmp_path)
    assert (images == load("cifar100", "test", tmp_path)[0]).all() and labels.tolist() == [i % 20 for i in range(100)]
    classes = DATASETS["cifar100-superclasses"].classes
    assert len(set(classes)) == 20 and list(classes) == sorted(classes)
    (tmp_path / "test").write_bytes(pickle.dumps({**batch(), b"coarse_labels": [0] * 100}))
    one_line(
        r"images per class are \[100, 0, .*expected 5 each: not CIFAR-100",
        load,
        "cifar100-superclasses",
        "test",
        tmp_path,
    )


# ----------------------------------------------------------------------------------------------------------------- SVHN
@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def svhn(request, tmp_path, monkeypatch, small):
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(mat(request.param))
    monkeypatch.setitem(sets.DIGESTS, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_svhn(svhn):
    for given in (svhn, svhn.parent):
        images, labels = load("svhn", "test", given)
        assert (images == X.transpose(3, 0, 1, 2)).all() and images.flags.c_contiguous
        assert labels.tolist() == [1, 0, 3, 9] and labels.dtype == np.uint8


def test_svhn_s_extra_digits_stand_behind_the_training_ones(tmp_path, monkeypatch):
    for part, compressed in (("train", True), ("extra", False), ("test", True)):
        path = tmp_path / f"{part}_32x32.mat"
        path.write_bytes(mat(compressed))
        monkeypatch.setitem(sets.SPLIT_SIZES, ("svhn", part), 4)
        monkeypatch.setitem(sets.DIGESTS, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    images, labels = load("svhn-extra", "train", tmp_path)
    assert images.shape == (8, 32, 32, 3) and labels.tolist() == [1, 0, 3, 9] * 2
    assert len(load("svhn-extra", "test", tmp_path)[1]) == len(load("svhn", "train", tmp_path)[1]) == 4
    (tmp_path / "extra_32x32.mat").unlink()
    one_line("no extra_32x32.mat", load, "svhn-extra", "train", tmp_path)


def test_svhn_that_is_not(svhn, monkeypatch):
    monkeypatch.setitem(sets.SPLIT_SIZES, ("svhn", "test"), 5)
    one_line(r"expected uint8 \(32, 32, 3, 5\)", load, "svhn", "test", svhn)
    svhn.write_bytes(svhn.read_bytes() + b"\0")
    one_line("SHA-256", load, "svhn", "test", svhn)
    svhn.unlink()
    one_line("no test_32x32.mat", load, "svhn", "test", svhn.parent)


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_mats_never_raise_anything_else(tmp_path, compressed):
    good, random, path = mat(compressed), np.random.default_rng(5), tmp_path / "a.mat"
    for _ in range(150):
        content = bytearray(good[: random.integers(1, len(good))] if random.random() < 0.3 else good)
        for at in random.integers(100, max(min(len(content), 400), 101), 3):
            content[min(at, len(content) - 1)] = random.integers(256)
        path.write_bytes(bytes(content))
        try:
            read_mat(path)
        except DataError as error:
            assert "\n" not in str(error)


# ------------------------------------------------------------------------------------------------------------ arguments
def test_dir_or_set_equals_dir(tmp_path):
    assert split("photos") == (None, "photos") and split("svhn=/x=y") == ("svhn", "/x=y")
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert split(odd) == (None, str(odd))
    assert folder_of(None, "svhn") is None and folder_of("d", "svhn") == folder_of("svhn=d", "svhn") == "d"
    one_line("SET=DIR with SET one of svhn", folder_of, "cifar10=d", "svhn")
    for text in ("=d", "svhn="):
        one_line("expected DIR or SET=DIR", split, text)
    folders = Folders(["svhn=a", "b"])
    assert (folders.get("svhn"), folders.get("cifar10"), Folders().get("svhn")) == ("a", "b", None)
    one_line("SET=DIR with SET one of cifar10", folders.check, ["cifar10"])
    for twice in (["a", "b"], ["svhn=a", "svhn=b"]):
        one_line("second folder", Folders, twice)
