"""Pieces of HTML: text that is escaped, kinds of figures, tables that were made for Markdown.

print(table(["| a | b |", "|---|---|", "| 1 | 2 |"], "A caption"))
"""

import re
from html import escape, unescape

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_ITALIC = re.compile(r"\*([^*]+)\*")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
_NUMBER = re.compile(r"[-+−]?[\d.,]+ ?(%|M|points?|FLOPs|images)?( (of|at) [\d.,]+ ?[%M]?)?")


def inline(markdown):
    """A line of Markdown as HTML: code, emphasis, links."""
    text = _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False))
    return _LINK.sub(r'<a href="\2">\1</a>', _ITALIC.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", text)))


def kind(name):
    """How a figure was come by, as a small word beside it."""
    return f'<span class="kind {escape(name)}">{escape(name)}</span>'


def table(lines, caption):
    """Lines of Markdown, of which those of a table become one with a caption; others become paragraphs."""
    rows = [_cells(line) for line in lines if line.startswith("|")]
    rest = "".join(f"<p>{inline(line.removeprefix('- '))}</p>" for line in _paragraphs(lines))
    if not rows:
        return rest
    head, body = rows[0], [row for row in rows[1:] if not set("".join(row)) <= set("-: ")]
    return grid([*map(inline, head)], [[inline(cell) for cell in row] for row in body], caption) + rest


def grid(head, body, caption):
    """A table of HTML cells that scrolls by itself where the window is narrow; columns of numbers stand at the right.

    `caption` is HTML, too.
    """
    numeric = [all(_NUMBER.fullmatch(cell) or not cell for cell in column) for column in zip(*body)]
    sides = [' class="number"' if right else "" for right in numeric]
    titles = "".join(f'<th scope="col"{side}>{cell}</th>' for side, cell in zip(sides, head))
    lines = []
    for first, *others in body:
        cells = "".join(f"<td{side}>{cell}</td>" for side, cell in zip(sides[1:], others))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    name = re.sub("<[^>]*>", "", caption)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(unescape(name))}" tabindex="0"><table>'
        f"<caption>{caption}</caption><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cells(line):
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _paragraphs(lines):
    """The lines that belong to no table, those of one list item joined."""
    found = []
    for line in lines:
        if line.startswith("  ") and found:
            found[-1] += f" {line.strip()}"
        elif line.strip() and not line.startswith("|"):
            found.append(line)
    return found
