"""What the tools say in their logs: an error fails a stage whatever the exit code, and so does a critical warning.

    warnings = check([folder / "hls.log"], accepted=("BD 41-1356",))     # those that fail nothing; UserError

Tools have ended with exit code 0 after an ERROR. A critical warning is as a rule a net, a pin or an address that is not
connected; those that are known to mean nothing here are in ACCEPTED, and `make synth ACCEPT=…` takes one more.
"""

import re

from hls.errors import UserError

# id → why it fails nothing
ACCEPTED = {
    "PSU-1": "boards' own presets of the DDR have negative DQS skews, which the processor takes",
    "PSU-2": "the same, said once for all of them",
}
ERROR = re.compile(r"^\s*(?:ERROR|FATAL[ _]ERROR)\b")
CRITICAL = re.compile(r"^\s*CRITICAL WARNING: *(?:\[([^\]]+)\])?")


def errors(lines):
    """The lines that say an error, in order."""
    return (line.strip() for line in lines if ERROR.match(line))


def check(paths, accepted=()):
    """Critical warnings in the logs at `paths` that fail nothing. UserError with the first error or other one."""
    told = []
    for path in paths:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in errors(lines):
            raise UserError(f"{line} (in {path}, though its tool ended as if all were well)")
        for line in lines:
            found = CRITICAL.match(line)
            if found and (found[1] or "") not in (*ACCEPTED, *accepted):
                remedy = f"mend it, or take it by --accept '{found[1]}'" if found[1] else "mend it"
                raise UserError(f"{line.strip()} (in {path}): {remedy}")
            if found and line.strip() not in told:
                told.append(line.strip())
    return told
