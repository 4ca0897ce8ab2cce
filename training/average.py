"""The average of a model's weights over its last steps, which is what gets evaluated and exported.

average = Average(model, decay=0.999)     # decay 0: no average, nothing is kept
average.update()                          # after each step
with average.applied(): evaluate(model)   # the averages stand in the model meanwhile
average.store()                           # for good
renew_statistics(model, split)            # batch norms' means and variances belong to other weights now
"""

import contextlib

import torch
from torch import nn

from training.data import resized


class Average:
    """Exponential moving averages of all floating-point tensors of a model's state, batch statistics included."""

    def __init__(self, model, decay):
        self.decay = decay
        state = model.state_dict()
        self.names = [name for name, value in state.items() if value.is_floating_point()] if decay else []
        self.live = [state[name] for name in self.names]  # the model's own tensors
        self.kept = [value.detach().clone() for value in self.live]

    @torch.no_grad()
    def update(self):
        """Take the model's present weights in."""
        if self.kept:
            torch._foreach_lerp_(self.kept, self.live, 1 - self.decay)

    @contextlib.contextmanager
    def applied(self):
        """The averages in the model, its own weights back afterwards."""
        own = [value.clone() for value in self.live]
        self.store()
        try:
            yield
        finally:
            _copy(own, self.live)

    def store(self):
        """Put the averages into the model."""
        _copy(self.kept, self.live)

    def state_dict(self):
        """Name → average."""
        return dict(zip(self.names, self.kept))

    def load_state_dict(self, state):
        """Take averages over from a checkpoint."""
        _copy([state[name] for name in self.names], self.kept)


@torch.no_grad()
def _copy(source, target):
    for value, into in zip(source, target):
        into.copy_(value)


@torch.no_grad()
def renew_statistics(model, split, batches=100, size=128, seed=0, side=0, frozen=(), **options):
    """Batch norms' means and variances anew, as plain averages over augmented training batches of `size` images.

    `side`: height and width that images are resized to, 0 for none; `frozen`: modules whose statistics stay as they
    are; `options` go to the model's forward.
    """
    kept = {module for part in frozen for module in part.modules()}
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m not in kept]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    model.train()
    for part in frozen:
        part.eval()
    for images, _ in split.batches(0, batches, size, seed):
        model(resized(images, side), **options)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.eval()
