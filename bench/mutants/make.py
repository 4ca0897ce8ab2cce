"""Write the mutants of a copy of the tree, by mutmut, into its folder mutants/: run in the copy.

    python -m bench.mutants.make

Files that have not changed since are left as they are. [tool.mutmut] of the copy's pyproject.toml says which ones are
mutated.
"""

import sys

from mutmut import __main__ as mutmut
from mutmut.utils import file_utils


def main():
    """Exit code 0."""
    file_utils.copy_src_dir()
    file_utils.copy_also_copy_files()
    mutmut.create_mutants(max_children=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
