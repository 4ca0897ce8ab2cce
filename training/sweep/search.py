"""A search by Optuna: which values of its axes come next, from the figures of those that were tried.

The tree-structured Parzen estimator chooses `together` trials, all are trained, then the next ones are chosen. So what
is tried depends on the grid alone, not on the number of workers; and a search that was stopped is asked again, finds
its rows, and goes on.
"""

import optuna

from training.sweep.grid import GridError


def search(grid, run):
    """Follow the grid's search; `run`: points → their rows. The best trial's values, or None where all failed."""
    wanted = grid.search
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=wanted["seed"])
    study = optuna.create_study(direction="minimize" if wanted["least"] else "maximize", sampler=sampler)
    axes = {path: _distribution(axis) for path, axis in wanted["axes"].items()}
    for begun in range(0, wanted["trials"], wanted["together"]):
        count = min(wanted["together"], wanted["trials"] - begun)
        trials = [study.ask(axes) for _ in range(count)]
        asked = [grid.points(**trial.params) for trial in trials]
        rows = iter(run([point for points in asked for point in points]))
        for trial, points in zip(trials, asked):
            value = _mean([next(rows) for _ in points], wanted["figure"])
            study.tell(trial, value, optuna.trial.TrialState.FAIL if value is None else None)
    done = [trial for trial in study.trials if trial.value is not None]
    return study.best_params if done else None


def _distribution(axis):
    if "any" in axis:
        return optuna.distributions.CategoricalDistribution(axis["any"])
    low, high, log = axis["low"], axis["high"], axis.get("log", False)
    if type(low) is type(high) is int:
        return optuna.distributions.IntDistribution(low, high, log=log)
    return optuna.distributions.FloatDistribution(low, high, log=log)


def _mean(rows, figure):
    """The mean of a figure of validation; None where a point failed."""
    if any("failed" in row for row in rows):
        return None
    values = [row["validation"].get(figure) for row in rows]
    if not all(isinstance(value, (int, float)) for value in values):
        known = ", ".join(name for name, value in rows[0]["validation"].items() if isinstance(value, (int, float)))
        raise GridError(f"search.figure = {figure!r}: expected one of {known}")
    return sum(values) / len(values)
