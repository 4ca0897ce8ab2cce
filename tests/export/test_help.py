"""What `--help` says: what each command is for, and what each option is for."""

import re

import pytest

from export import __main__ as export
from export import again, dynamic
from export.check import command as check

COMMANDS = {
    "export": (export, ["--help"]),
    "check": (export, ["check", "--help"]),
    "again": (again, ["--help"]),
    "dynamic": (dynamic, ["--help"]),
}
DOCUMENTS = {"check": check}  # where the command's words stand elsewhere


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    module, arguments = COMMANDS[name]
    with pytest.raises(SystemExit) as ended:
        module.main(arguments)
    text, document = capsys.readouterr().out, DOCUMENTS.get(name, module).__doc__ or ""
    assert ended.value.code == 0 and document and document.splitlines()[0] in text
    options = re.findall(r"^  (-\S.*?)(?:  +(\S.*))?$(?:\n {10,}(\S.*)$)?", text, re.MULTILINE)
    assert len(options) > 2
    assert [option for option, beside, below in options if not (beside or below)] == []
    assert "None" not in text and "XX" not in text


def test_packages_that_can_be_exported_again_are_named(capsys):
    with pytest.raises(SystemExit):
        again.main(["--help"])
    assert "of cifar10, fashion-mnist" in capsys.readouterr().out


def test_data_must_be_given_where_a_recipe_is_written(capsys):
    with pytest.raises(SystemExit) as ended:
        dynamic.main(["model.onnx", "-o", "mine.toml"])
    assert ended.value.code == 2 and "--data" in capsys.readouterr().err
