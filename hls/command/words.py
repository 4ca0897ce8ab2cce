"""Words for people.

counted(1, "thread")     # 1 thread
counted(2000, "image")   # 2,000 images
"""


def counted(number, word):
    """A number of things; `word` takes an s for more than one."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
