"""The objective: accuracy + α · cost (Wang et al., JSTSP 2020, Eq. 5), summed over exits (Eq. 4).

The cost E counts executed blocks (1 = a residual block in full), as the paper does; α's sign follows the target:
positive while more runs than wanted, negative while less does. With a gain, |α| also shrinks with the distance, which
keeps gates alive that a constant push would close for every image.
"""

from torch.nn import functional


def classification_loss(logits, labels):
    """Eq. 4: the plain sum of every exit's cross-entropy; `logits` is a list of (N, classes)."""
    return sum(functional.cross_entropy(exit_logits.float(), labels) for exit_logits in logits)


def target_at(progress, start, final, ramp):
    """Share of the blocks' full cost aimed at: from `start` down to `final` over the first `ramp` of a stage."""
    return final if ramp <= 0 else start - (start - final) * min(1.0, progress / ramp)


def alpha_at(share, target, alpha, gain):
    """α for a batch that ran `share` of the full cost: ±alpha, or proportional to the distance up to ±alpha."""
    distance = share - target
    if gain:
        return max(-alpha, min(alpha, gain * distance))
    return alpha if distance > 0 else -alpha


def opening_loss(gate_logits, margin=1.0):
    """How far gates are from letting everything through: Σ over gates of max(0, margin - logit), mean over images.

    For the stage that trains gates alone until nothing is skipped. A gate that is open by the margin is left there:
    pushed on without end, it would be too far open for the joint stage to close it again.
    """
    return sum(functional.relu(margin - logits.float()).sum() / len(logits) for logits in gate_logits)


def resource_loss(block_flops, full_flops, blocks):
    """E of Eq. 5 averaged over a batch: executed blocks, from the (N,) FLOPs of an image's blocks."""
    return block_flops.mean() / full_flops * blocks
