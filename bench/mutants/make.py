"""Write the mutants of a copy of the tree, by mutmut, into its folder mutants/: run in the copy.

    python -m bench.mutants.make

Files that have not changed since are left as they are; one that a stop left half-written is written again.
[tool.mutmut] of the copy's pyproject.toml says which ones are mutated.
"""

import importlib
import sys
import tomllib
from pathlib import Path


def unfinished(folder):
    """Modules of a folder of mutants beside which mutmut has written no list of what is in them, which it does last."""
    return [path for path in sorted(Path(folder).rglob("*.py")) if not path.with_name(f"{path.name}.meta").exists()]


def main():
    """Exit code 0."""
    config = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    for source in config["source_paths"]:
        for path in unfinished(Path("mutants", source)):
            path.unlink()
    files = importlib.import_module("mutmut.utils.file_utils")
    files.copy_src_dir()
    files.copy_also_copy_files()
    importlib.import_module("mutmut.__main__").create_mutants(max_children=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
