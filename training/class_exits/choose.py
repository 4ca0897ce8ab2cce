"""Which exits a class gets: the lowest confidence that keeps the accuracy, then the best of gain and loss.

    options = [option for at, … in … if (option := best_level(scores, spot, limits))]
    chosen = in_a_row(options, most=1)

The confidence α of each exit is searched in [0.95, 1] for the largest γ that keeps β and η (section 3.3, Eqs. 4-7). Of
viable exits, those that win time, the Pareto frontier over gain (t / t'') and loss (t' / t) is taken, and of it the one
with the largest gain / loss (section 3.4). Further ones join behind it where that makes gain / loss larger (3.1.1).
"""

from dataclasses import dataclass, field

import numpy as np

from training.class_exits.equations import Counts, Stage, average, count, worst

LEVELS = np.arange(950, 1000) / 1000  # α; at 1 nothing is accepted


def score_of(level):
    """The score (nats) whose sigmoid is α."""
    return float(np.log(level / (1 - level)))


@dataclass(frozen=True)
class Setting:
    """What exits of a class are judged by: validation images, the network's own figures, times."""

    target: int
    labels: np.ndarray  # (N,)
    answers: np.ndarray  # (N,)
    beta: float
    eta: float
    whole: float  # t
    precision: float = 0.0  # least share of accepted images that must be of the class; the paper asks for none


@dataclass(frozen=True)
class Candidate:
    """An exit at spot number `at`: scores of the validation images, times up to there and of its own."""

    at: int
    keep_previous: bool
    scores: np.ndarray  # (N,) nats
    until: float  # δ
    own: dict  # spot number of the exit before it, or None → e


@dataclass(frozen=True)
class Row:
    """Exits in a row, each with its level, and what they give."""

    exits: tuple = ()  # of (Candidate, α, Counts)
    stages: tuple = ()
    arrived: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (N,) who passes them all

    def gain(self, whole):
        """t / t''."""
        return whole / average(whole, self.stages)

    def loss(self, whole):
        """t' / t."""
        return worst(whole, self.stages) / whole

    def measured_gain(self, whole):
        """t over the mean time of the class's own images alone: falsely accepted ones win nothing for it."""
        pairs = zip(self.stages, self.exits)
        return whole / average(whole, [stage._replace(rate=counts.hits) for stage, (_, _, counts) in pairs])

    def worth(self, whole):
        """Gain in proportion to loss."""
        return self.gain(whole) / self.loss(whole)


def keeps(counts: Counts, setting):
    """Whether the network's accuracy is kept (Eqs. 5-7)."""
    exact = counts.accuracy_others >= setting.beta and counts.accuracy_target >= setting.eta
    return exact and counts.accuracy_exit >= setting.eta and counts.precision >= setting.precision


def extended(row, candidate, setting):
    """The Row with a Candidate behind it at the level with the largest γ that keeps accuracy, or None."""
    arrived = row.arrived if row.exits else np.ones(len(setting.labels), bool)
    before = row.exits[-1][0] if row.exits else None
    for level in LEVELS:  # γ falls as the level rises
        accepted = candidate.scores >= score_of(level)
        counts = count(accepted, arrived, setting.labels, setting.answers, setting.target)
        if counts.accepted and keeps(counts, setting):
            delta = candidate.until - (before.until if before else 0.0)
            stage = Stage(delta, candidate.own[before.at if before else None], counts.rate)
            exits = (*row.exits, (candidate, float(level), counts))
            return Row(exits, (*row.stages, stage), arrived & ~accepted)
    return None


def frontier(rows, whole):
    """Rows that no other beats in gain and loss both."""
    points = [(row.gain(whole), row.loss(whole)) for row in rows]
    return [
        row
        for row, (gain, loss) in zip(rows, points)
        if not any(more >= gain and less <= loss and (more, less) != (gain, loss) for more, less in points)
    ]


def choose(candidates, setting, most=1):
    """The Row of at most `most` exits that is adopted, or None where no exit is viable."""
    rows = _viable(Row(), candidates, setting)
    if most > 1:
        rows = [_grown(row, candidates, setting, most) for row in rows]
    return _best(rows, setting.whole)


def _viable(row, candidates, setting):
    """All Rows with one more exit that keep the accuracy and win time."""
    last = row.exits[-1][0] if row.exits else None
    found = [extended(row, one, setting) for one in candidates if last is None or fits_behind(one, last)]
    return [one for one in found if one is not None and one.gain(setting.whole) > 1]


def _best(rows, whole):
    """The one of the frontier with the largest gain in proportion to loss, or None."""
    return max(frontier(rows, whole), key=lambda row: row.worth(whole), default=None)


def _grown(row, candidates, setting, most):
    """A Row with further exits, one after the other, while that makes gain in proportion to loss larger."""
    while len(row.exits) < most:
        best = _best(_viable(row, candidates, setting), setting.whole)
        if best is None or best.worth(setting.whole) <= row.worth(setting.whole):
            break
        row = best
    return row


def fits_behind(one, last):
    """Whether an exit can follow another: later, and of the same kind of connection."""
    return one.at > last.at and one.keep_previous == last.keep_previous


def summary(row, setting):
    """Figures of a Row as plain numbers, on the images of the setting."""
    counts = [counts for _, _, counts in row.exits]
    stopped, right = sum(one.accepted for one in counts), sum(one.true_positives for one in counts)
    early = right + counts[-1].right_target + counts[-1].right_others
    return {
        "images": len(setting.labels),
        "gain": row.gain(setting.whole),
        "loss": row.loss(setting.whole),
        "measured_gain": row.measured_gain(setting.whole),
        "rates": [one.rate for one in counts],
        "accuracy_others": counts[-1].accuracy_others,
        "accuracy_exit": [one.accuracy_exit for one in counts],
        "accuracy_target": counts[-1].accuracy_target,
        "precision": right / stopped if stopped else None,
        "accuracy": early / len(setting.labels),
        "accuracy_before": float((setting.labels == setting.answers).mean()),
        "beta": setting.beta,
        "eta": setting.eta,
    }


def replayed(row, scores, setting):
    """The Row at the same levels on other images: `scores` (N,) of each exit. For the test images."""
    arrived, exits, stages = np.ones(len(setting.labels), bool), [], []
    for (candidate, level, _), stage, found in zip(row.exits, row.stages, scores):
        accepted = found >= score_of(level)
        counts = count(accepted, arrived, setting.labels, setting.answers, setting.target)
        exits.append((candidate, level, counts))
        stages.append(stage._replace(rate=counts.rate))
        arrived = arrived & ~accepted
    return Row(tuple(exits), tuple(stages), arrived)
