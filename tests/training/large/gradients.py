"""What the processes of torchrun compute in one step: their averaged gradients, written by the first.

torchrun --nproc-per-node 2 -m tests.training.large.gradients OUT.pt
"""

import sys
import tempfile

import torch

from tests.training import toys
from training.large import processes
from training.loop import Trainer

NETWORK = {"backbone": toys.SHALLOW, "layer_gates": {"kind": "recurrent"}, "exits": {"after": [0]}}
PHASES = {
    # Statistics of frozen parts are those of the network: every image is by itself, so shares are no matter.
    "frozen": toys.phase("frozen", 1, train=["exits"], gated=False),
    # Gates close units for all images of a share, and batch norms see a share.
    "gated": toys.phase("gated", 1, terms={"classification": {}, "signed_cost": {"weight": 0.1}}),
}


def trainer(name, folder):
    """A Trainer at the first step of a phase; its batch is one that processes share."""
    plan = toys.plan([PHASES[name]], NETWORK | {"exits": {"linear": [0, 1], "after": []}}, batch=16)
    return Trainer(plan, [toys.stripes(32)] * 3, folder, "cpu")


def gradients(run):
    """Name → gradient after one step of a trainer."""
    images, labels = next(run.train.batches(0, 1, 16, 5, 0, False))
    run._train_step(run.recipe.phases[0], 5, images, labels)
    return {name: value.grad for name, value in run.model.named_parameters() if value.grad is not None}


def work(out):
    """Both phases' gradients, to `out`."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: gradients(trainer(name, folder)) for name in PHASES}
    if processes.leads():
        torch.save(found, out)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(processes.together("cpu", lambda: work(sys.argv[1])))
