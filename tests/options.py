"""What every command's options must have; each folder's tests ask it of their own commands."""

import argparse

import pytest


class Parsed(Exception):
    """A parser was asked: it is the argument."""


def parser_of(main, *words):
    """The parser that a command makes."""

    def asked(parser, *_):
        raise Parsed(parser)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Parsed) as raised:
        patch.setattr(argparse.ArgumentParser, "parse_args", asked)
        main([*words])
    return raised.value.args[0]


def assert_explained(parser):
    """Each option says what it does, and what it is without being given is among what may be given."""
    for option in parser._actions:
        name = option.option_strings or option.dest
        assert option.help and option.help.strip(), f"{name} says nothing"
        if option.choices is not None and option.default is not None:
            given = option.default if isinstance(option.default, list) else [option.default]
            assert set(given) <= set(option.choices), f"{name} is {option.default!r} where it is not given"
    assert parser.format_help().startswith(f"usage: {parser.prog}")
