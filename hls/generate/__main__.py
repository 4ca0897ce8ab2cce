"""Generate the contract's Python module, C++ headers and reference page from hls/isa.toml.

python -m hls.generate            # write hls/isa.py, hls/src/isa.hpp, hls/src/top.hpp, docs/isa.md
python -m hls.generate --check    # exit code 1 if a committed file differs from what would be written
"""

import sys
import tomllib

from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.generated import renewed
from hls.generate.reference import page
from hls.generate.sources import NOTE, ROOT, SOURCE, cpp_header, cpp_top, python_module


def files():
    """Path → text of every generated file."""
    contract = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    return {
        ROOT / "hls" / "isa.py": python_module(contract),
        ROOT / "hls" / "src" / "isa.hpp": cpp_header(contract),
        ROOT / "hls" / "src" / "top.hpp": cpp_top(contract),
        ROOT / "docs" / "isa.md": page(contract, NOTE),
    }


def main(argv=None):
    """Exit code 0, 1 when --check finds a stale file, or 2 for one that cannot be written."""
    parser = Parser(prog="python -m hls.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    arguments = parser.parse_args(argv)
    return guarded("generate", lambda: renewed(files(), ROOT, "python -m hls.generate", arguments.check))


if __name__ == "__main__":
    sys.exit(main())
