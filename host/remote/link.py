"""What both ends of a connection to a board share: RPyC's settings, and arrays as bytes.

packed = pack(array)                    # (dtype, shape, bytes), which needs no pickle
array = unpack(packed, ("<i4",), 2)     # ValueError for anything else
"""

import numpy as np

CLOSED = {  # RPyC's settings: nothing of an object can be reached that is not meant for it
    "allow_pickle": False,
    "allow_safe_attrs": False,
    "allow_public_attrs": False,
    "allow_all_attrs": False,
    "allow_setattr": False,
    "allow_delattr": False,
    "import_custom_exceptions": False,
    "instantiate_custom_exceptions": False,
    "include_local_traceback": False,
    "include_local_version": False,
    "close_catchall": True,
}


def pack(array):
    """An array as (dtype, shape, bytes), which needs no pickle; None stays None."""
    if array is None:
        return None
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.dtype.str, array.shape, array.tobytes()


def unpack(packed, dtypes, dimensions):
    """The read-only array that was packed, of one of `dtypes` ("<i4") and `dimensions`. ValueError otherwise."""
    if type(packed) is not tuple or len(packed) != 3:
        raise ValueError(f"a {type(packed).__name__}, expected an array")
    dtype, shape, data = packed
    if dtype not in dtypes or type(data) is not bytes or type(shape) is not tuple or len(shape) != dimensions:
        raise ValueError(f"an array of {dtype!r} {shape!r}, expected {' or '.join(dtypes)} in {dimensions} dimensions")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of shape {shape!r}")
    expected = np.dtype(dtype).itemsize
    for size in shape:
        expected *= size
    if expected != len(data):
        raise ValueError(f"{len(data)} bytes for an array of {dtype} {shape}, expected {expected}")
    return np.frombuffer(data, dtype).reshape(shape)
