"""The error of data: missing, damaged or of another kind than expected."""

from hls.errors import UserError


class DataError(UserError):
    """Data that is missing, damaged or of another kind than expected; the message is one line."""
