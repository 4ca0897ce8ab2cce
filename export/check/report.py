"""What a check found, as plain values for --json and as text for people.

values = summary(package, made, comparison, labels, records)
print(table(values))
"""

import numpy as np

LOW = 0.99  # a layer whose cosine is under it is told
WORST = 10  # images


def summary(package, made, comparison, labels, records):
    """All of it as plain values.

    `made`: what is said of the weights; `labels`: (N,) of the images; `records`: a dict on an engine's, or None.
    """
    floats, integers = comparison.labels
    return {
        "package": package.name,
        "architecture": package.meta["architecture"],
        "images": len(labels),
        "made": made,
        "layers": [_layer(layer) for layer in comparison.layers],
        "first_low": _first_low(comparison.layers),
        "first_beyond": _first_beyond(comparison.layers),
        "gates": comparison.flips,
        "exits": [
            {
                "name": item["name"],
                "float": float((one == labels).mean()),
                "int8": float((other == labels).mean()),
                "labels_differ": float((one != other).mean()),
            }
            for item, one, other in zip(package.exits, floats, integers)
        ],
        "worst": _worst(package, comparison, labels),
        "records": records,
    }


def _layer(layer):
    return {
        "name": layer.name,
        "kind": layer.kind,
        "cosine": layer.cosine,
        "largest_error_steps": float(layer.largest.max()),
        "largest_error": float(layer.largest.max() * layer.step),
        "saturated": layer.saturation,
        "beyond_bound": int(layer.beyond.sum()),
    }


def _first_low(layers):
    """The first layer whose cosine is LOW, and the channel of it that is furthest off."""
    for layer in layers:
        if layer.cosine < LOW:
            cosines = layer.cosines()
            channel = int(np.argmin(cosines))
            found = {"layer": layer.name, "cosine": layer.cosine, "channel": channel}
            return {**found, "channel_cosine": float(cosines[channel])}
    return None


def _first_beyond(layers):
    """The first layer with a value further off than its own rounding explains, and its first such channel."""
    for layer in layers:
        if layer.beyond.any():
            channel = int(np.flatnonzero(layer.beyond)[0])
            found = {"layer": layer.name, "channel": channel, "values": int(layer.beyond[channel])}
            return {**found, "excess_steps": float(layer.excess[channel])}
    return None


def _worst(package, comparison, labels):
    """The images whose logits at the end differ most."""
    one, other = comparison.logits
    distances, names = np.abs(one - other).max(1), package.class_names
    return [
        {
            "image": int(index),
            "label": names[int(labels[index])],
            "float": names[int(one[index].argmax())],
            "int8": names[int(other[index].argmax())],
            "distance": float(distances[index]),
        }
        for index in np.argsort(-distances, kind="stable")[:WORST]
    ]


# ---------------------------------------------------------------------------------------------------------- for people
def table(values):
    """The summary as text for a terminal."""
    lines = [f"{values['package']} ({values['architecture']}), {values['images']} images; {values['made']}", ""]
    width = max(len("layer"), *(len(layer["name"]) for layer in values["layers"]))
    lines.append(f"{'layer':<{width}}  {'cosine':>7}  {'largest error':>14}  {'saturated':>9}  beyond bound")
    lines += [_layer_line(layer, width) for layer in values["layers"]]
    lines += ["", *_firsts(values), *_decisions(values["gates"])]
    lines += ["", f"{'exit':<24}  {'float':>7}  {'int8':>7}  labels that differ"]
    for item in values["exits"]:
        lines.append(f"{item['name']:<24}  {item['float']:>7.2%}  {item['int8']:>7.2%}  {item['labels_differ']:>18.2%}")
    lines += ["", "images whose logits differ most"]
    for item in values["worst"]:
        called = f"float {item['float']}, int8 {item['int8']}, is {item['label']}"
        lines.append(f"{item['image']:>7}  {item['distance']:.3g}  {called}")
    return "\n".join([*lines, *_records(values["records"])])


def _layer_line(layer, width):
    error = f"{layer['largest_error_steps']:.4g} steps"
    beyond = layer["beyond_bound"] or "-"
    return f"{layer['name']:<{width}}  {layer['cosine']:>7.4f}  {error:>14}  {layer['saturated']:>9.3%}  {beyond:>12}"


def _firsts(values):
    low, beyond = values["first_low"], values["first_beyond"]
    if low:
        channel = f"channel {low['channel']} has {low['channel_cosine']:.4f}"
        yield f"first layer under {LOW}: {low['layer']}, cosine {low['cosine']:.4f}; {channel}"
    else:
        yield f"no layer has a cosine under {LOW}"
    if beyond:
        what = f"{beyond['values']} values up to {beyond['excess_steps']:.3g} steps over it"
        yield f"first layer beyond its bound: {beyond['layer']}, channel {beyond['channel']}, {what}"
    else:
        yield "every layer by itself is within its bound: its rounding explains what it differs by"


def _decisions(gates):
    for kind in ("layer", "channel"):
        some = [gate for gate in gates if gate["kind"] == kind]
        if some:
            worst = max(some, key=lambda gate: gate["share"])
            mean = np.mean([gate["share"] for gate in some])
            yield f"decisions of {kind} gates that flip: {mean:.2%}, most at {worst['name']} ({worst['share']:.2%})"


def _records(records):
    if records is None:
        return ["", "no compiler here: the golden model was compared with no engine (--backend)"]
    told = records["difference"] or "every word of their records is equal"
    return ["", f"golden model and {records['backend']}, {records['images']} images: {told}"]
