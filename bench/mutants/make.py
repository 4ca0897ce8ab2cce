"""Write the mutants of a copy of the tree, by mutmut, into its folder mutants/: run in the copy.

    python -m bench.mutants.make

Files that have not changed since are left as they are. [tool.mutmut] of the copy's pyproject.toml says which ones are
mutated.
"""

import importlib
import sys


def main():
    """Exit code 0."""
    files = importlib.import_module("mutmut.utils.file_utils")
    files.copy_src_dir()
    files.copy_also_copy_files()
    importlib.import_module("mutmut.__main__").create_mutants(max_children=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
