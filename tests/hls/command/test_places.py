"""Folders of the user: by the variables, in the home, and where neither is there or nothing can be written."""

import os
import pwd

import pytest

from hls.command import places
from hls.errors import UserError

NOWHERE = "/proc/ddi"  # no user can make a folder there


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A user with neither $HOME nor an entry in the system's list."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()


def test_by_the_variables_or_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.cache("cifar10") == tmp_path / ".cache" / "ddi-fpga" / "cifar10"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # is to be ignored, by XDG's base directories
    assert places.cache() == tmp_path / ".cache" / "ddi-fpga"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert places.cache() == tmp_path / "c" / "ddi-fpga"


def test_without_a_home_it_says_what_to_set():
    with pytest.raises(UserError, match="has no home folder: set HOME, or XDG_CACHE_HOME"):
        places.cache()


def test_builds_go_to_the_checkout_the_cache_or_a_folder_of_their_own(monkeypatch, tmp_path):
    assert places.build(tmp_path / "build") == tmp_path / "build"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert places.build(NOWHERE) == tmp_path / "c" / "ddi-fpga" / "build"
    monkeypatch.setenv("XDG_CACHE_HOME", NOWHERE)
    found = places.build(NOWHERE)
    assert found == tmp_path / "tmp" / f"ddi-fpga-{os.getuid()}" and found.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_is_not_loaded_from(tmp_path):
    found = places.build(NOWHERE)
    found.chmod(0o777)
    with pytest.raises(UserError, match=r"no folder for the compiled engine .* is not this user's own"):
        places.build(NOWHERE)
    found.rmdir()
    (tmp_path / "elsewhere").mkdir()
    found.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is not this user's own"):
        places.build(NOWHERE)
