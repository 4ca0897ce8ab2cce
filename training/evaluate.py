"""Figures of a dynamic network: accuracy and FLOPs at every exit, and whether its gates decide anything.

    figures = evaluate(model, split)     # plain numbers, as they stand in metrics.json

Always hard decisions. A layer gate is dead when it decides the same for more than 98 % of the images; a channel gate's
output varies when it is kept for 10 to 90 % of the images whose unit ran.
"""

import torch

from training.data import resized, sides
from training.dynamic import LAYER

DEAD, VARYING = 0.02, 0.10


@torch.no_grad()
def evaluate(model, split, gated=True, with_exits=True, limit=None, left_out=(), side=0, forced=None):
    """Accuracy and mean FLOPs at each exit, and the gates' figures: a dict of plain numbers.

    `left_out`: units that pass their identity; `side`: the height and width that images are resized to, 0 for none;
    `forced`: as in `Dynamic.forward`.
    """
    model.eval()
    hits, spent, own, empty, rates = [], [], [], 0, Rates()
    for images, labels in split.plain_batches(250, limit):
        out = model(resized(images, side), gated, with_exits, forced, left_out)
        hits.append(torch.stack([logits.argmax(1) == labels for logits in out.logits], 1))
        spent.append(out.flops)
        own.append(out.gate_flops)
        empty += sum(int(emptied.sum()) for emptied in out.emptied)
        rates.add(out)
    spent, hits = torch.cat(spent), torch.cat(hits)  # (N, exits) both
    last = spent[:, -1]
    return {
        "images": len(spent),
        "accuracy_at": [round(rate, 4) for rate in hits.double().mean(0).tolist()],
        "flops_at": [round(mean) for mean in spent.mean(0).tolist()],
        "accuracy": round(hits[:, -1].double().mean().item(), 4),
        "share": last.mean().item() / float(model.backbone.cost(sides(split, side))),
        "flops_spread": round((last.std(correction=0) / last.mean()).item(), 4),
        "gate_share": round((torch.cat(own).mean() / last.mean()).item(), 4),
        "empty_units": round(empty / len(spent), 4),
        **rates.figures(),
    }


class Rates:
    """Keep rates of every decision over batches."""

    def __init__(self):
        self.kept, self.asked = {}, {}

    def add(self, out):
        """Take a batch's Output in; a channel counts for the images whose unit ran."""
        for decision in out.decisions:
            key = decision.unit, decision.mask
            self.kept[key] = self.kept.get(key, 0) + decision.keep.detach()[decision.asked].double().sum(0)
            self.asked[key] = self.asked.get(key, 0) + decision.asked.sum()

    def rates(self):
        """{(unit, mask): (outputs,) share of the images that keep it}."""
        return {key: (kept / self.asked[key].clamp(min=1)).cpu() for key, kept in self.kept.items()}

    def figures(self):
        """Numbers and shares for people: what is dead and what varies; no gates of a kind give None."""
        rates = self.rates()
        layers = [rate.item() for (_, mask), rate in rates.items() if mask == LAYER]
        channels = [rate for (_, mask), rate in rates.items() if mask != LAYER]
        every = torch.cat(channels) if channels else torch.zeros(0)
        varying = (every >= VARYING) & (every <= 1 - VARYING)
        return {
            "layers_kept": [round(rate, 3) for rate in layers],
            "dead_layer_gates": sum(min(rate, 1 - rate) < DEAD for rate in layers) / len(layers) if layers else None,
            "varying_channels": round(varying.double().mean().item(), 4) if channels else None,
            "channels_kept": round(every.mean().item(), 4) if channels else None,
        }


def summary(figures):
    """One line of an evaluation, for people."""
    exits = ", ".join(f"{a:.3f} at {f / 1e6:.0f}M" for a, f in zip(figures["accuracy_at"], figures["flops_at"]))
    gates = [f"spread {figures['flops_spread']:.2f}"]
    if figures["dead_layer_gates"] is not None:
        gates.append(f"{figures['dead_layer_gates']:.0%} of layer gates dead")
    if figures["varying_channels"] is not None:
        gates.append(f"{figures['varying_channels']:.0%} of channels vary")
    return f"{exits} ({', '.join(gates)})"
