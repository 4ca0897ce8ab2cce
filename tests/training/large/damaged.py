"""Training in which the second process of torchrun cannot read a picture at its third step.

torchrun --nproc-per-node 2 -m tests.training.large.damaged FOLDER OUT
"""

import sys

from hls.errors import UserError
from training import __main__ as command
from training.large import processes
from training.loop import Trainer

STEP = Trainer._train_step


def step(self, phase, seed, images, labels):
    """The step, but in the second process the third of them fails."""
    if self.step == 2 and not processes.leads():
        raise UserError("1.png is damaged on purpose: save it again")
    return STEP(self, phase, seed, images, labels)


if __name__ == "__main__":
    Trainer._train_step = step
    root, out = sys.argv[1:]
    line = [f"{root}/standin.toml", "--data", f"{root}/imagenet", "--out", out, "--device", "cpu"]
    sys.exit(command.main(line))
