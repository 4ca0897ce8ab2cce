"""The training loop: stages of steps, checkpoints, resume.

Everything that decides a step is a function of the recipe and the step's number, or stands in the checkpoint, so an
interrupted run that resumes ends with the same bits on a CPU as one that never stopped.
"""

import json
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from training import losses
from training.checkpoint import write_atomically
from training.dynamic import DynamicResNet
from training.evaluate import evaluate, gate_figures, summary

QUIET_STEPS = 20  # the gates stage ends once nothing was skipped for so many batches


class Trainer:
    """One run of a recipe in a folder: checkpoint.pt, metrics.jsonl, and model.pt at the end."""

    def __init__(self, recipe, splits, folder, device):
        self.recipe, self.folder, self.device = recipe, Path(folder), torch.device(device)
        self.train, self.validation, self.test = splits
        torch.manual_seed(recipe.seed)
        self.model = DynamicResNet(recipe.network).to(self.device)
        self.model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        self.stage, self.step, self.quiet = 0, 0, 0
        self.optimizer = self._make_optimizer()
        self.dtype = _autocast_dtype(recipe.precision, self.device)
        self.seconds = 0.0
        self.stopping = False  # set by a signal handler; a step is never torn

    @property
    def checkpoint_path(self):
        """Where the run can be resumed from."""
        return self.folder / "checkpoint.pt"

    # -------------------------------------------------------------------------------------------------- running
    def run(self, minutes=None):
        """Train until the recipe's end, or for `minutes`; True when the end was reached."""
        deadline = time.monotonic() + 60 * minutes if minutes else math.inf
        started = time.monotonic()
        try:
            while self.stage < len(self.recipe.stages):
                if not self._run_stage(deadline):
                    return False
                self._validate(final=True)
                self.stage, self.step, self.quiet = self.stage + 1, 0, 0
                self.optimizer = self._make_optimizer()
                self.save()
            return True
        finally:
            self.seconds += time.monotonic() - started
            self.save()

    def _run_stage(self, deadline):
        """The rest of the current stage; False when the deadline came first."""
        stage, recipe = self.recipe.stages[self.stage], self.recipe
        seed = recipe.seed * 1000 + self.stage
        batches = self.train.batches(self.step, stage.steps, recipe.batch, seed, recipe.crop_pad, recipe.flip)
        bar = tqdm(batches, f"{stage.kind:8}", stage.steps, initial=self.step, unit="step", mininterval=1)
        for images, labels in bar:
            figures = self._train_step(stage, images, labels)
            self.step += 1
            if self.step % 50 == 0:
                bar.set_postfix({name: f"{figures[name]:.3f}" for name in ("loss", "accuracy", "share")})
                self._log(figures)
            if stage.kind == "gates":
                self.quiet = self.quiet + 1 if figures["skipped"] == 0 else 0
                if self.quiet == QUIET_STEPS:
                    break
            if self.step % recipe.validate_every == 0 and self.step < stage.steps:
                self._validate()
            if self.step % recipe.checkpoint_every == 0:
                self.save()
            if self.stopping:
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                return self.step == stage.steps
        return True

    def _train_step(self, stage, images, labels):
        self._set_mode(stage.kind)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(stage, self.step) * group["scale"]
        gated, with_exits = stage.kind != "backbone", stage.kind == "exits"
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            out = self.model(images, gated, with_exits, stage.channel_gain)
        loss = losses.classification_loss(out.logits, labels)
        blocks = len(self.model.blocks())
        full = self.full_block_flops
        share = out.block_flops.detach().mean().item() / full
        target = losses.target_at(self.step / stage.steps, stage.start, stage.target, stage.ramp)
        alpha = losses.alpha_at(share, target, stage.alpha, stage.gain) if gated else 0.0
        if stage.kind == "gates":
            alpha = stage.alpha
            loss = loss + alpha * losses.opening_loss(out.gate_logits)
        elif alpha:
            loss = loss + alpha * losses.resource_loss(out.block_flops, full, blocks).float()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        accuracy = (out.logits[-1].argmax(1) == labels).float().mean().item()
        figures = {"loss": loss.item(), "accuracy": accuracy, "share": share, "target": target, "alpha": alpha}
        return figures | gate_figures(out)

    @property
    def full_block_flops(self):
        """FLOPs of the static network's blocks, the unit of shares and targets."""
        if not hasattr(self, "_full_block_flops"):
            was_training = self.model.training
            with torch.no_grad():
                probe = torch.zeros(1, 3, 32, 32, device=self.device)
                self._full_block_flops = self.model.eval()(probe, False, False).block_flops.item()
            self.model.train(was_training)
        return self._full_block_flops

    def _set_mode(self, kind):
        """Train mode, but a frozen backbone in the gates stage: its batch statistics stay as they are."""
        self.model.train()
        layer, channel = self.model.gate_parameters()
        gate_ids = {id(p) for p in layer + channel}
        for parameter in self.model.parameters():
            parameter.requires_grad_(kind != "gates" or id(parameter) in gate_ids)
        if kind == "gates":
            for name, module in self.model.named_modules():
                if isinstance(module, torch.nn.BatchNorm2d) and "gates" not in name:
                    module.eval()

    def _make_optimizer(self):
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        layer, channel = self.model.gate_parameters()
        gates = {id(p) for p in layer + channel}
        rest = [p for p in self.model.parameters() if id(p) not in gates]
        groups = [{"params": rest, "scale": 1.0}, {"params": layer + channel, "scale": stage.gate_lr}]
        groups = [group for group in groups if group["params"]]
        return torch.optim.SGD(groups, stage.lr, self.recipe.momentum, weight_decay=self.recipe.weight_decay)

    # ---------------------------------------------------------------------------------------------- measuring
    def _validate(self, final=False):
        stage = self.recipe.stages[self.stage]
        figures = evaluate(self.model, self.validation, stage.kind != "backbone", stage.kind == "exits")
        self._log({"validation": figures, "end_of_stage": final})
        tqdm.write(f"{stage.kind} step {self.step}: validation {summary(figures)}")

    def _log(self, figures):
        record = {"stage": self.recipe.stages[self.stage].kind, "step": self.step, **figures}
        with (self.folder / "metrics.jsonl").open("a") as handle:
            handle.write(json.dumps(record) + "\n")

    # -------------------------------------------------------------------------------------------- checkpoints
    def save(self):
        """Write the checkpoint atomically: a run that is killed leaves the previous one."""
        state = {"recipe": self.recipe.to_dict(), "stage": self.stage, "step": self.step, "quiet": self.quiet}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "seconds": self.seconds}
        write_atomically(state, self.checkpoint_path)

    def resume(self, state):
        """Continue from a checkpoint's state; metrics written after it are dropped, to be written again."""
        self.stage, self.step, self.quiet = state["stage"], state["step"], state["quiet"]
        self.seconds = state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer = self._make_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        metrics = self.folder / "metrics.jsonl"
        if metrics.exists():
            kinds = [stage.kind for stage in self.recipe.stages]
            lines = [line for line in metrics.read_text().splitlines() if self._happened(json.loads(line), kinds)]
            metrics.write_text("".join(line + "\n" for line in lines))

    def _happened(self, record, kinds):
        at = kinds.index(record["stage"])
        return at < self.stage or (at == self.stage and record["step"] <= self.step)

    def finish(self):
        """Measure on validation and test data, write model.pt (weights, recipe, metrics); the metrics."""
        metrics: dict = {"validation": evaluate(self.model, self.validation), "test": evaluate(self.model, self.test)}
        metrics |= {"seed": self.recipe.seed, "seconds": round(self.seconds), "torch": str(torch.__version__)}
        metrics |= {"device": self.device.type, "precision": str(self.dtype).removeprefix("torch.")}
        weights = {name: value.cpu() for name, value in self.model.state_dict().items()}
        state = {"recipe": self.recipe.to_dict(), "model": weights, "metrics": metrics}
        write_atomically(state, self.folder / "model.pt")
        (self.folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        return metrics


def learning_rate(stage, step):
    """lr of a step: linear warm-up, then constant, half a cosine, or ÷10 at 1/2 and 3/4."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    if stage.schedule == "constant":
        return stage.lr
    progress = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    if stage.schedule == "cosine":
        return stage.lr * 0.5 * (1 + math.cos(math.pi * progress))
    return stage.lr * (0.1 if progress >= 0.5 else 1) * (0.1 if progress >= 0.75 else 1)


def _autocast_dtype(precision, device):
    if precision != "auto":
        return getattr(torch, precision)
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32
