"""Drawing in SVG with the standard library: shapes, text, axes, and small images as PNG."""

import base64
import math
from html import escape

from data.formats.png import write_png

INK, SOFT, GRID, PAPER = "#1c2430", "#5c6876", "#e3e7ec", "#ffffff"
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


class Canvas:
    """A drawing that collects elements; `text()` gives the document. Coordinates are pixels from the top left."""

    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def rect(self, x, y, width, height, fill, title="", radius=0):
        """A filled rectangle; `title` shows when pointed at."""
        inside = f"<title>{clean(title)}</title>" if title else ""
        crisp = "" if radius else ' shape-rendering="crispEdges"'  # no seams between stacked parts
        self.parts.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{max(height, 0):.2f}" '
            f'rx="{radius}" fill="{fill}"{crisp}>{inside}</rect>'
        )

    def line(self, x1, y1, x2, y2, stroke=GRID, width=1.0, dash=""):
        """A straight line; `dash` is a pattern like "4 3"."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" '
            f'stroke="{stroke}" stroke-width="{width}"{dashed}/>'
        )

    def dot(self, x, y, radius, fill, title=""):
        """A filled circle."""
        inside = f"<title>{clean(title)}</title>" if title else ""
        self.parts.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{fill}">{inside}</circle>')

    def label(self, x, y, text, size=12, fill=SOFT, anchor="start", weight=400, turn=0):
        """Text on the base line y; `turn` in degrees."""
        turned = f' transform="rotate({turn} {x:.2f} {y:.2f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
            f'font-weight="{weight}"{turned}>{clean(text)}</text>'
        )

    def image(self, x, y, size, pixels):
        """Pixels (H, W, 3) or (H, W, 1) uint8, enlarged to `size` without smoothing."""
        data = base64.b64encode(write_png(pixels)).decode()
        self.parts.append(
            f'<image x="{x:.2f}" y="{y:.2f}" width="{size}" height="{size}" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{data}"/>'
        )

    def text(self):
        """The SVG document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="{FONT}">'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"


class Plot:
    """A rectangle on a canvas with data coordinates: x from x0 to x1, y from y0 (bottom) to y1 (top)."""

    def __init__(self, canvas, box, x_range, y_range):
        self.canvas, (self.left, self.top, self.width, self.height) = canvas, box
        self.x_range, self.y_range = x_range, y_range

    @property
    def bottom(self):
        return self.top + self.height

    def x(self, value):
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value):
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * self.height

    def y_axis(self, values, form, title):
        """Lines across at `values`, and the axis title along it."""
        for value in values:
            self.canvas.line(self.left, self.y(value), self.left + self.width, self.y(value))
            self.canvas.label(self.left - 8, self.y(value) + 4, form(value), 11, anchor="end")
        self.canvas.label(self.left - 48, self.top + self.height / 2, title, 11.5, anchor="middle", turn=-90)

    def x_axis(self, values, form, title):
        """Numbers below at `values`, and the axis title below them."""
        self.canvas.line(self.left, self.bottom, self.left + self.width, self.bottom, SOFT)
        for value in values:
            self.canvas.line(self.x(value), self.bottom, self.x(value), self.bottom + 4, SOFT)
            self.canvas.label(self.x(value), self.bottom + 18, form(value), 11, anchor="middle")
        self.canvas.label(self.left + self.width / 2, self.bottom + 38, title, 11.5, anchor="middle")


def clean(text):
    """Text that any XML reader takes: escaped, without control characters."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in str(text)))


def ticks(high, count=6):
    """Round values from 0 up to `high`, about `count` of them."""
    if not high > 0:
        return [0]
    rough = high / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * i for i in range(int(high / step + 1e-9) + 1)]


def blend(share, colours):
    """The colour at `share` (0 … 1) of the way through `colours`, "#rrggbb" each."""
    at = min(max(share, 0), 1) * (len(colours) - 1)
    low = min(int(at), len(colours) - 2)
    pair = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours[low : low + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in zip(*pair))
