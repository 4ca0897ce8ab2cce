"""What accuracy is worth to whom labels are only chance: the expected loss of one decision against another.

    lost, half = points_lost(logits, expected, found, labels)     # percentage points, half of its 95 % interval

Labels are thought of as drawn by p = softmax(t · logits), t by maximum likelihood on the labels that there are
(temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2). Whoever decides for c
instead of b is right less often by p(b) - p(c). The mean of this is the accuracy that is lost, as the difference of
two accuracies is, without the chance of the labels: two decisions between logits that are all but equal cost nothing,
whichever label is right.
"""

import numpy as np

TEMPERATURES = np.geomspace(1e-3, 1e3, 241)


def points_lost(logits, expected, found, labels):
    """(percentage points, half of their 95 % interval) that decisions `found` (N,) lose to `expected` (N,).

    `logits` (N, classes) say how likely each label is. Where `expected` are their largest, nothing can be gained.
    """
    p, rows = probabilities(logits, labels), np.arange(len(labels))
    lost = 100 * (p[rows, expected] - p[rows, found])
    return float(lost.mean()), float(1.96 * lost.std() / len(lost) ** 0.5)


def probabilities(logits, labels):
    """(N, classes): softmax of the logits times the factor under which the labels are likeliest."""
    logits = logits.astype(np.float64)
    likelihoods = [np.log(_softmax(t * logits)[np.arange(len(labels)), labels] + 1e-300).sum() for t in TEMPERATURES]
    return _softmax(TEMPERATURES[int(np.argmax(likelihoods))] * logits)


def _softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
