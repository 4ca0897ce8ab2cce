"""Write data/fashion-mnist-sample/ from the official test files: the first 1,000 images and labels, as idx files.

    python -m data.make_sample FOLDER    # FOLDER holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz

The same input gives the same bytes (no time or file name in the gzip header); prints the SHA-256 of the contents, which
data/datasets.py holds.
"""

import gzip
import hashlib
import struct
import sys
from pathlib import Path

from data.datasets import SAMPLE, load
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.outputs import made, write

COUNT = 1000


def idx_bytes(array):
    """An uint8 array as the contents of an idx file."""
    return b"\0\0\x08" + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


def main(argv=None):
    """Write the sample; 0, or 2 when the official files are missing or damaged."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with the official Fashion-MNIST test files")
    parser.add_argument("--output", type=Path, default=SAMPLE, help="folder to write (default: %(default)s)")
    arguments = parser.parse_args(argv)
    return guarded("make_sample", lambda: _write(arguments.folder, arguments.output))


def _write(folder, output):
    made(output, "--output")
    images, labels = load("fashion-mnist", "test", folder)
    grey = images[:COUNT, 2:-2, 2:-2, 0]  # the 28 × 28 pixels inside the padding
    for name, array in (("t10k-images-idx3-ubyte", grey), ("t10k-labels-idx1-ubyte", labels[:COUNT])):
        content = idx_bytes(array)
        write(output / f"{name}.gz", gzip.compress(content, 9, mtime=0))
        print(f"{name}  {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
