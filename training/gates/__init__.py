"""Gates: a unit's input in, keep decisions out.

    logits, state = gate(x, pooled, state)     # x (N, C, H, W), pooled (N, C) its global average
    keep = decide(logits, training=True)       # 0 or 1 of the same shape

A kind of gate is a class in a file of its own with `forward(x, pooled, state) → (N, outputs) logits and the state for
the next unit's gate`, `cost(size)`: FLOPs of one decision for an input of `size`, and `lower(graph, x, pooled, state)
→ logits and state` as nodes. LAYER_GATES and CHANNEL_GATES in training/network.py name them for recipes.
"""

import torch


def decide(logits, training=False, sharpness=1.0):
    """Keep decisions of the shape of `logits`: exactly 0 or 1, kept where the logit is positive.

    In training the gradient is that of sigmoid(sharpness · logit): straight-through (Bengio et al. 2013).
    """
    hard = (logits > 0).to(logits.dtype)
    if not training:
        return hard
    soft = torch.sigmoid(sharpness * logits)
    return hard + (soft - soft.detach())  # the bracket is exactly 0
