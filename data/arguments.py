"""--data of every command: DIR for whatever set is asked for, or SET=DIR for that set.

folder = folder_of(arguments.data, "cifar10")      # DIR, SET=DIR or None → path or None
path_of(arguments.data)                            # the same of any set: what must not be written over
folders = Folders(arguments.data)                  # given several times: folders.get("cifar10")
"""

from pathlib import Path

from data.errors import DataError

HELP = "DIR or SET=DIR: an official archive or its folder, class folders of pictures, or a .npz"


class Folders:
    """The folders of several --data. DataError where one set has two."""

    def __init__(self, texts=()):
        self.named, self.any = {}, None
        for text in texts or ():
            name, folder = split(text)
            if (self.any if name is None else self.named.get(name)) is not None:
                raise DataError(f"--data {text} is the second folder of one set: give each once, as SET=DIR")
            if name is None:
                self.any = folder
            else:
                self.named[name] = folder

    def get(self, name):
        """The folder of a set, or None."""
        return self.named.get(name, self.any)

    def check(self, known):
        """DataError where a set was named that nothing asks for; a misspelt name is otherwise never seen."""
        unknown = sorted(set(self.named) - set(known))
        if unknown:
            given, names = f"{unknown[0]}={self.named[unknown[0]]}", ", ".join(known)
            raise DataError(f"--data {given}: expected DIR, or SET=DIR with SET one of {names}")


def split(text):
    """(set or None, folder) of what was given to --data. A folder that there is may have = in its name."""
    name, equals, folder = str(text).partition("=")
    if not equals or Path(text).exists():
        return None, str(text)
    if not name or not folder:
        raise DataError(f"--data {text}: expected DIR or SET=DIR")
    return name, folder


def path_of(text):
    """The folder or file that was given to --data, whatever its set; None without it. DataError."""
    return None if text is None else split(text)[1]


def folder_of(text, name):
    """The folder that --data gives for the one set `name`; None without it. DataError when it is of another set."""
    if text is None:
        return None
    folders = Folders([text])
    folders.check([name])
    return folders.get(name)
