"""The one base of errors that are the user's to mend: entry points catch it, print its line, and end with exit code 2.

    raise UserError("budget '7X' has no unit: expected FLOPs like 74M")     # found, expected, remedy
    except UserError as error: print(f"run: {error}", file=sys.stderr); return 2

A subclass exists only where some code tells it from the others. It stands in hls/, the bottom floor, so that every
folder can raise it; numpy is not needed for it.
"""


class UserError(Exception):
    """Something given that cannot be used; the message is one line: what was found, what is expected, what to do."""
