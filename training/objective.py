"""What a phase of training minimises, and by which optimizer.

loss, figures = Loss(model, phase, full_flops)(images, labels, forced, left_out, progress)
optimizer = make_optimizer(model, phase, recipe)
check_phase(phase, model, channels, size)      # PhaseError for what the network has not got
"""

import torch
from torch import nn

from training import terms
from training.data import resized
from training.phases import PhaseError


class Loss(nn.Module):
    """A model with the terms of a phase: what several processes average the gradients of."""

    def __init__(self, model, phase, full_flops, bf16=False, teacher=None):
        """`teacher`: normalised images → (N, classes) logits, for phases with that term."""
        super().__init__()
        self.model, self.phase, self.full_flops, self.bf16 = model, phase, full_flops, bf16
        self.teacher = teacher if "teacher" in phase.terms else None
        self.terms = terms.build(phase.terms)

    def forward(self, images, labels, forced, left_out, progress):
        """The loss of a batch, and detached figures of it, still on the device."""
        phase = self.phase
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            taught = self.teacher(images) if self.teacher else None
            out = self.model(resized(images, phase.side), phase.gated, phase.exits, forced, left_out)
            loss, values = terms.total(self.terms, terms.Step(out, labels, self.full_flops, progress, taught))
        hits = (out.logits[-1].detach().argmax(1) == labels).float().mean()
        share = out.flops[:, -1].detach().mean() / self.full_flops
        return loss, {"loss": loss.detach(), "accuracy": hits, "share": share, **values}


def parts(model):
    """The model's modules by part, as phases name them."""
    return {
        "backbone": [model.backbone],
        "layer_gates": list(model.layer_gates.values()),
        "channel_gates": list(model.channel_gates.values()),
        "exits": list(model.exits.values()),
    }


def make_optimizer(model, phase, recipe):
    """SGD with Nesterov's momentum; no weight decay for vectors (biases, batch norms, shifts), nor for gates.

    A gate's logits are standardised, so that decay would change none of them, until they are lost in rounding.
    """
    groups = []
    for part, modules in parts(model).items():
        if part not in phase.train:
            continue
        parameters = list(dict.fromkeys(p for module in modules for p in module.parameters()))
        scale = phase.gate_lr if part.endswith("gates") else 1.0
        for vectors in (False, True):
            chosen = [p for p in parameters if (p.ndim < 2) == vectors]
            if chosen:
                decay = 0.0 if vectors or part.endswith("gates") else recipe.weight_decay
                groups.append(
                    {"params": chosen, "weight_decay": decay, "scale": scale * (phase.bias_lr if vectors else 1)}
                )
    return torch.optim.SGD(groups, phase.lr, recipe.momentum, nesterov=recipe.momentum > 0)


def check_phase(phase, model, channels, size):
    """Raises PhaseError where a phase asks for what a Dynamic for images of `channels` × `size` has not got."""
    stages = model.backbone.places(size)[-1].stage + 1
    if phase.units and len(phase.units) != stages:
        wanted = f"expected a number for each of {stages} stages"
        raise PhaseError(f"units = {list(phase.units)} in phase {phase.name}: {wanted}")
    chosen = parts(model)
    if not any(list(module.parameters()) for part in phase.train for module in chosen[part]):
        raise PhaseError(f"phase {phase.name} trains {', '.join(phase.train)}: the network has nothing of it")
    for name, part in (("dead_layer_gates", "layer_gates"), ("varying_channels", "channel_gates")):
        if name in phase.require and not (phase.gated and chosen[part]):
            raise PhaseError(f"require.{name} in phase {phase.name}: no such gates decide in it, take it away")
    _check_side(phase, model, channels, (phase.side, phase.side) if phase.side else size)


@torch.no_grad()
def _check_side(phase, model, channels, size):
    try:
        model.eval()(torch.zeros(1, channels, *size), phase.gated, phase.exits)
    except RuntimeError as error:  # a map that is pooled to nothing, or memory that is not there
        reason = str(error).splitlines()[0]
        raise PhaseError(
            f"phase {phase.name}: the network cannot run images of {size[0]} × {size[1]} ({reason}): set its side"
        ) from None
