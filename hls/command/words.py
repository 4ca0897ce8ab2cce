"""Words for people.

counted(1, "thread")     # 1 thread
counted(2000, "image")   # 2,000 images
counted(3, "class", "classes")
"""


def counted(number, word, several=None):
    """A number of things; of more than one `several`, without it the word with an s."""
    return f"{number:,} {word if number == 1 else several or word + 's'}"
