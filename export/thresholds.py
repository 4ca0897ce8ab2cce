"""Entropy thresholds, one an exit, for a budget on the average (Wang et al., ICCV submission, Fig. 10).

    table = search(entropy, right, flops)       # each (N, exits + 1), on validation images
    table["flops"], table["accuracy"], table["thresholds"]        # from the cheapest average to the dearest

An image stops at the first exit whose entropy is below its threshold. For a price λ of a FLOP the thresholds are
chosen that have the most right answers less λ · FLOPs: one exit after the other, over and over, until none changes.
Prices from low to high give the table, with one threshold for all exits to begin from; rows that spend more than
another without being better are left out. Between two rows that are far apart stand mixtures of their thresholds, so
that what is asked for can be spent.
"""

from itertools import pairwise

import numpy as np

CANDIDATES = 64  # thresholds tried at an exit: quantiles of its entropies
POINTS = 48  # prices tried
ROUNDS = 8
NEVER = 0  # no entropy is below it
GAP = 0.005  # between two rows' costs, as a share, above which mixtures are tried
STEPS = 16  # mixtures tried between two rows
NOISE = 0.002  # share of right answers that a mixture may lack to the row before it: a coarse grid's chance


def leave(entropy, thresholds):
    """(N,) the exit at which each image stops; entropy (N, exits + 1), thresholds (exits,)."""
    sure = entropy[:, :-1] < np.asarray(thresholds)
    return np.where(sure.any(1), sure.argmax(1), entropy.shape[1] - 1)


def outcome(entropy, right, flops, thresholds):
    """(accuracy, mean FLOPs) under thresholds; `flops` (N, exits + 1) count the classifiers that ran on the way."""
    rows, at = np.arange(len(entropy)), leave(entropy, thresholds)
    return float(right[rows, at].mean()), float(flops[rows, at].mean())


def search(entropy, right, flops):
    """{"flops": means, "accuracy": shares, "thresholds": one list an entry}, of rising cost and accuracy.

    `entropy` are the record's integers (N, exits + 1), `right` bool, `flops` those of leaving at each exit.
    """
    exits = entropy.shape[1] - 1
    candidates = [_candidates(entropy[:, i]) for i in range(exits)]
    starts = [np.full(exits, one) for one in _candidates(entropy[:, :-1])]
    spread = flops[:, -1].mean() - flops[:, 0].mean()
    found = {tuple(start.tolist()) for start in starts}
    for price in np.geomspace(1e-3, 3, POINTS) / spread:
        gain = right - price * flops  # (N, exits + 1)
        first = max(starts, key=lambda thresholds: _total(entropy, gain, thresholds))
        found.add(tuple(_ascend(entropy, gain, candidates, first.copy()).tolist()))
    table = {"flops": [], "accuracy": [], "thresholds": []}
    outcomes = {thresholds: outcome(entropy, right, flops, thresholds) for thresholds in found}
    for thresholds, (accuracy, mean) in sorted(outcomes.items(), key=lambda item: (item[1][1], -item[1][0])):
        if not table["flops"] or accuracy > table["accuracy"][-1]:
            for name, value in zip(table, (mean, accuracy, list(thresholds))):
                table[name].append(value)
    return _filled(table, lambda thresholds: outcome(entropy, right, flops, thresholds))


def _filled(table, measured):
    """The table with mixtures between rows, of rising cost; `measured`: thresholds → (accuracy, mean FLOPs)."""
    rows = list(zip(table["flops"], table["accuracy"], table["thresholds"]))
    filled, best = rows[:1], rows[0][1]
    for before, after in pairwise(rows):
        shares = np.arange(1, STEPS) / STEPS if after[0] > (1 + GAP) * before[0] else ()
        mixed = [np.rint((1 - share) * np.array(before[2]) + share * np.array(after[2])) for share in shares]
        found = [(*measured(one)[::-1], one.astype(int).tolist()) for one in mixed]
        for row in [*sorted((row for row in found if row[0] < after[0]), key=lambda row: row[0]), after]:
            if filled[-1][0] < row[0] and row[1] >= best - NOISE:
                filled.append(row)
                best = max(best, row[1])
    return dict(zip(table, map(list, zip(*filled))))


def _candidates(entropy):
    """Thresholds to try for given entropies, from none below it to all."""
    quantiles = np.quantile(entropy, np.linspace(0, 1, CANDIDATES)).astype(int)
    return np.unique([NEVER, *quantiles, entropy.max() + 1])


def _total(entropy, gain, thresholds):
    """Sum over images of the gain (N, exits + 1) at the exits they leave by."""
    return gain[np.arange(len(gain)), leave(entropy, thresholds)].sum()


def _ascend(entropy, gain, candidates, thresholds):
    """Better thresholds, one exit after the other, until none changes."""
    rows = np.arange(len(gain))
    for _ in range(ROUNDS):
        before = thresholds.copy()
        for i in range(len(thresholds)):
            thresholds[i] = NEVER
            at = leave(entropy, thresholds)
            change = np.where(at > i, gain[:, i] - gain[rows, at], 0.0)  # of stopping here
            order = np.argsort(entropy[:, i], kind="stable")
            total = np.concatenate([[0.0], np.cumsum(change[order])])
            below = np.searchsorted(entropy[order, i], candidates[i])
            thresholds[i] = candidates[i][int(np.argmax(total[below]))]
        if np.array_equal(before, thresholds):
            break
    return thresholds
