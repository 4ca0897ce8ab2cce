"""A check as a picture: for each layer its cosine and the share of saturated values, from the image to the logits.

svg = draw(values)      # of report.summary
"""

from host.views.svg import INK, PAPER, Canvas, Plot

WIDTH, HEIGHT, LEFT, RIGHT = 1200, 560, 90, 40
COSINE, ERROR, SATURATED, BEYOND = "#2f6fb3", "#8a5a9e", "#d08a2e", "#c23b3b"
LOWEST = 0.5  # the least cosine that is drawn


def draw(values):
    """The SVG document."""
    layers, canvas = values["layers"], Canvas(WIDTH, HEIGHT)
    canvas.rect(0, 0, WIDTH, HEIGHT, PAPER)
    title = f"{values['package']}: integers against floats, {values['images']} images"
    canvas.label(LEFT - 50, 36, title, 20, INK, weight=700)
    canvas.label(LEFT - 50, 56, "a column is a layer, in the order in which they run; red: beyond its own bound", 12)
    lowest = max(min([layer["cosine"] for layer in layers] + [0.99]), LOWEST)
    most = max([layer["saturated"] for layer in layers] + [0.001])
    step = (WIDTH - LEFT - RIGHT) / len(layers)
    above = Plot(canvas, (LEFT, 90, WIDTH - LEFT - RIGHT, 230), (0, len(layers)), (lowest, 1))
    below = Plot(canvas, (LEFT, 380, WIDTH - LEFT - RIGHT, 110), (0, len(layers)), (0, most))
    above.y_axis([lowest + (1 - lowest) * i / 4 for i in range(5)], lambda value: f"{value:.4f}", "cosine")
    below.y_axis([0, most / 2, most], lambda value: f"{value:.2%}", "saturated")
    for number, layer in enumerate(layers):
        x, wide = above.x(number), max(step - 1, 0.5)
        told = f"{layer['name']}: cosine {layer['cosine']:.4f}, {layer['saturated']:.3%} saturated"
        told += f", largest error {layer['largest_error_steps']:.4g} steps"
        y = above.y(max(layer["cosine"], lowest))
        canvas.rect(x, y, wide, above.bottom - y, BEYOND if layer["beyond_bound"] else COSINE, told)
        y = below.y(layer["saturated"])
        canvas.rect(x, y, wide, below.bottom - y, SATURATED, told)
    below.x_axis([0, len(layers)], str, "layer")
    return canvas.text()
