"""Files that are generated and committed: written where they are stale, or only looked at.

return renewed({path: text}, ROOT, "python -m hls.generate", check=arguments.check)     # the exit code
"""

import sys

from hls.command import outputs


def renewed(made, root, command, check):
    """Write those of `made`, path → text, that are stale; with `check` name them instead, and what makes them anew.

    The exit code: 1 where something is stale and was not written. OutputError.
    """
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        name = path.relative_to(root) if path.is_relative_to(root) else path
        if check:
            print(f"error: {name} is stale: run {command}", file=sys.stderr)
        else:
            outputs.write(path, made[path])
            print(f"wrote {name}")
    return 1 if check and stale else 0
