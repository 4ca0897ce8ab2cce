"""Figures of a dynamic network: accuracy and FLOPs at every exit, what its gates keep.

    figures = evaluate(model, split)     # plain numbers, as they stand in metrics.json

Always float32 and hard decisions, whatever the training's precision.
"""

import torch


def gate_figures(out):
    """Keep rates of one batch, and how many gates are dead (the same decision for every image)."""
    if not out.layer_keep.shape[1] and not out.channel_keep:
        return {"skipped": 0.0}
    layers = out.layer_keep.detach().mean(0)  # (B,)
    channels = _mean_keep(out.channel_keep)
    rates = torch.cat([layers.float(), channels])
    return {
        "skipped": (1 - rates).mean().item(),
        "layers_kept": layers.mean().item() if len(layers) else 1.0,
        "channels_kept": channels.mean().item() if len(channels) else 1.0,
        "dead_layer_gates": int(((layers == 0) | (layers == 1)).sum()),
        "flops_std": out.flops[:, -1].detach().std().item(),
    }


@torch.no_grad()
def evaluate(model, split, gated=True, with_exits=True, limit=None):
    """Accuracy and mean FLOPs at each exit, keep rates: a dict of plain numbers. Always float32, hard decisions."""
    model.eval()
    hits, spent, layers, channels = [], [], [], []
    for images, labels in split.plain_batches(250, limit):
        out = model(images, gated, with_exits)
        hits.append(torch.stack([logits.argmax(1) == labels for logits in out.logits], 1))
        spent.append(out.flops)
        layers.append(out.layer_keep)
        channels.append(_mean_keep(out.channel_keep))
    spent = torch.cat(spent)  # (N, exits)
    channels = torch.stack(channels).mean(0)
    return {
        "images": len(spent),
        "accuracy": [round(rate, 4) for rate in torch.cat(hits).double().mean(0).tolist()],
        "flops": [round(mean) for mean in spent.mean(0).tolist()],
        "flops_std": round(spent[:, -1].std(correction=0).item()),
        "layers_kept": [round(rate, 3) for rate in torch.cat(layers).mean(0).tolist()],
        "channels_kept": round(channels.mean().item(), 3) if len(channels) else 1.0,
    }


def _mean_keep(channel_keep):
    """Keep rate of every channel gate over a batch, all blocks in one vector; empty without channel gates."""
    rates = [keep.detach().float().mean(0) for keep in channel_keep]
    return torch.cat(rates) if rates else torch.zeros(0)


def summary(figures):
    """One line of an evaluation, for people."""
    exits = ", ".join(f"{a:.3f} at {f / 1e6:.0f}M" for a, f in zip(figures["accuracy"], figures["flops"]))
    return f"{exits} (std {figures['flops_std'] / 1e6:.1f}M, channels kept {figures['channels_kept']:.2f})"
