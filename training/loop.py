"""The training loop: phases of steps, checkpoints, resume.

Everything that decides a step is a function of the recipe and the step's number, or stands in the checkpoint, so an
interrupted run that resumes ends with the same bits on a CPU as one that never stopped.
"""

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from data.parts import check_same
from hls.command.outputs import OutputError, write
from training import phases, teachers
from training.average import Average, renew_statistics
from training.checkpoint import write_atomically
from training.data import sides
from training.evaluate import evaluate, summary
from training.grown import begin
from training.large import processes
from training.objective import Loss, check_phase, make_optimizer, parts
from training.prune import apply, find_constant
from training.recipe import check_fits

LOG_EVERY = 50  # steps between looks at figures: a look waits for the device
SETTLE_STEPS, SETTLE_EPOCHS = 100, 4  # batches that statistics are renewed on; few images are not shown more often


class Trainer:
    """One run of a recipe in a folder: checkpoint.pt, metrics.jsonl, and model.pt at the end."""

    def __init__(self, recipe, splits, folder, device, quiet=False):
        self.recipe, self.folder, self.device = recipe, Path(folder), torch.device(device)
        self.train, self.validation, self.test = splits
        self.train.share, self.leads = processes.place(), processes.leads()
        self.told = self.leads and not quiet
        check_fits(recipe, self.train)
        for split in splits if recipe.mean else ():
            split.normalise_by(recipe.mean, recipe.std)
        self.about = self.train.about.to_dict()
        torch.manual_seed(recipe.seed)
        self.model = recipe.network.build(self.train.classes, self.train.channels, self.train.size)
        for phase in recipe.phases:
            check_phase(phase, self.model, self.train.channels, self.train.size)
        if recipe.init and not self.checkpoint_path.exists():  # a run to be resumed has its weights in there
            begin(self.model, recipe.init, self.train)
        self.teacher = teachers.Teacher(recipe, self.train, self.device)
        if not self.checkpoint_path.exists():  # a run that begins is told of a wrong one at once
            self.teacher.read()
        self.pruned = []  # what `prune` found at the ends of phases, in order
        self._place()
        self.phase, self.step, self.seconds = 0, 0, 0.0
        self.window = []  # figures of the steps since the last look
        self._begin_phase()
        self.stopping = False  # set by a signal handler; a step is never torn

    def _place(self):
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.average = Average(self.model, self.recipe.average)
        self.places = self.model.backbone.places(self.train.size)

    def full_flops(self, phase):
        """FLOPs of the whole network for an image as a phase sees it."""
        return float(self.model.backbone.cost(sides(self.train, phase.side)))

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
            while self.phase < len(self.recipe.phases):
                if not self._run_phase(deadline):
                    return False
                self._end_phase()
            return True
        finally:
            self.seconds += time.monotonic() - started
            if self.leads and self.finite():
                self.save()

    def _run_phase(self, deadline):
        """The rest of the current phase; False when the deadline came first."""
        phase, recipe = self.recipe.phases[self.phase], self.recipe
        seed = recipe.seed * 1000 + self.phase
        self._set_modes()
        batches = self.train.batches(self.step, phase.steps, recipe.batch, seed, *recipe.augmentation)
        bar = {"initial": self.step, "unit": "step", "mininterval": 1, "disable": not self.told}
        bar = tqdm(batches, f"{phase.name:10}", phase.steps, **bar)
        for images, labels in bar:
            self.window.append(self._train_step(phase, seed, images, labels))
            self.step += 1
            if self.step % LOG_EVERY == 0 or self.step == phase.steps:
                figures = processes.mean(_mean(self.window))
                self.window.clear()
                self._look(figures)
                bar.set_postfix({name: f"{figures[name]:.3f}" for name in ("loss", "accuracy", "share")})
            if self.step % recipe.validate_every == 0 and self.step < phase.steps:
                self._validate()
            if self.step % recipe.checkpoint_every == 0:
                self._refuse_if_diverged(0.0 if self.finite() else math.nan)
                self.save()
            if processes.anywhere(self.stopping):
                raise KeyboardInterrupt
            if processes.anywhere(time.monotonic() > deadline):
                return self.step == phase.steps
        return True

    def rehearse(self, steps):
        """Seconds of a step in each phase, the least of `steps`; the weights are no longer what they were."""
        found = []
        for number, phase in enumerate(self.recipe.phases):
            self.phase = number
            self._begin_phase()
            batches = self.train.batches(0, steps, self.recipe.batch, 0, *self.recipe.augmentation)
            seconds, started = [], time.monotonic()
            for images, labels in batches:
                self._train_step(phase, 0, images, labels)
                seconds.append(time.monotonic() - started)
                started = time.monotonic()
            found.append(min(seconds))
        return found

    def _train_step(self, phase, seed, images, labels):
        """One update; detached figures of it, still on the device."""
        rng = np.random.default_rng((seed, self.step))
        rate = phases.learning_rate(phase, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        left_out, forced = phases.left_out(phase, self.places, rng), phases.drawn(phase, len(images), rng)
        loss, figures = self.loss(images, labels, forced, left_out, self.step / phase.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.average.update()
        return figures

    def _look(self, figures):
        self._log(figures)
        self._refuse_if_diverged(figures["loss"])

    def _refuse_if_diverged(self, loss):
        if not math.isfinite(loss):
            raise phases.PhaseError(
                f"phase {self.recipe.phases[self.phase].name} diverged by step {self.step}: lower its lr or a term's "
                f"weight and train with another --out; {self._what_is_kept()}"
            )

    def _what_is_kept(self):
        return "the last good checkpoint is kept" if self.checkpoint_path.exists() else "no checkpoint was written yet"

    def finite(self):
        """Whether all weights and statistics are finite numbers, so that they are worth keeping."""
        return all(bool(torch.isfinite(value).all()) for value in self.model.state_dict().values())

    # --------------------------------------------------------------------------------------------------- phases
    def _begin_phase(self):
        """Optimizer, terms and modes of the current phase."""
        phase = self.recipe.phases[min(self.phase, len(self.recipe.phases) - 1)]
        self.optimizer = make_optimizer(self.model, phase, self.recipe)
        self._set_modes()
        loss = Loss(self.model, phase, self.full_flops(phase), self.recipe.bf16, self.teacher)
        self.loss = processes.averaged(loss)

    def _set_modes(self):
        """Parts that learn in training mode; a frozen part's batch statistics stay as they are."""
        phase = self.recipe.phases[min(self.phase, len(self.recipe.phases) - 1)]
        self.model.train()
        for part, modules in parts(self.model).items():
            for module in modules:
                module.train(part in phase.train)
                module.requires_grad_(part in phase.train)

    def _end_phase(self):
        """Validate, check what the phase requires, prune, and go to the next."""
        phase = self.recipe.phases[self.phase]
        if self.recipe.average:
            self._settle(phase)
        figures = self._validate(final=True)
        phases.check(phase, figures)
        if phase.prune:
            absent = phases.absent(phase, self.places)
            self.pruned.append(processes.first(lambda: find_constant(self.model, self.train, left_out=absent)))
            apply(self.model, self.pruned[-1])
            self._place()
        self.phase, self.step = self.phase + 1, 0
        self._begin_phase()
        self.save()

    def _settle(self, phase):
        """The averaged weights for good, with statistics of their own where a part has learnt."""
        self.average.store()
        frozen = [one for part, modules in parts(self.model).items() if part not in phase.train for one in modules]
        options = {"gated": phase.gated, "with_exits": phase.exits, "left_out": phases.absent(phase, self.places)}
        batch, seed = self.recipe.batch, self.recipe.seed
        steps = min(SETTLE_STEPS, max(SETTLE_EPOCHS * len(self.train) // batch, 1))
        renew_statistics(self.model, self.train, steps, batch, seed, phase.side, frozen, **options)
        self.average = Average(self.model, self.recipe.average)

    # ---------------------------------------------------------------------------------------------- measuring
    def _validate(self, final=False):
        phase = self.recipe.phases[self.phase]
        figures = processes.first(lambda: self._measure(phase))
        self._set_modes()
        self._log({"validation": figures, "end_of_phase": final})
        if self.told:
            tqdm.write(f"{phase.name} step {self.step}: validation {summary(figures)}")
        return figures

    def _measure(self, phase):
        with self.average.applied():
            options = phase.gated, phase.exits, None, phases.absent(phase, self.places), phase.side
            figures = evaluate(self.model, self.validation, *options)
            for name, forced in phases.extremes(phase).items():
                figures[f"accuracy_{name}"] = evaluate(self.model, self.validation, *options, forced)["accuracy"]
        return figures

    def _log(self, figures):
        if not self.leads:
            return
        record = {"phase": self.phase, "name": self.recipe.phases[self.phase].name, "step": self.step, **figures}
        path = self.folder / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written ({error.strerror}): make room and go on with --resume"
            ) from None

    # -------------------------------------------------------------------------------------------- checkpoints
    def save(self):
        """Write the checkpoint atomically: a run that is killed leaves the previous one. The first process's affair."""
        if not self.leads:
            return
        state = {"recipe": self.recipe.to_dict(), "phase": self.phase, "step": self.step, "pruned": self.pruned}
        state |= {"model": self.model.state_dict(), "average": self.average.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "seconds": self.seconds, "window": self.window}
        state |= {"data": self.about}
        write_atomically(state, self.checkpoint_path)

    def resume(self, state):
        """Continue from a checkpoint's state; metrics written after it are dropped, to be written again.

        Raises DataError where the run's own pictures are no longer what they were.
        """
        check_same(self.train.about, state.get("data"))
        self.phase, self.step, self.pruned = state["phase"], state["step"], state["pruned"]
        self.seconds, self.window = state["seconds"], state["window"]
        for found in self.pruned:
            apply(self.model, found)
        self._place()
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._begin_phase()
        if self.step:  # else the phase has not begun, and may have come into the recipe since
            self.optimizer.load_state_dict(state["optimizer"])
        metrics = self.folder / "metrics.jsonl"
        if self.leads and metrics.exists():
            lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines()
            write(metrics, "".join(line + "\n" for line in lines if self._happened(line)))

    def _happened(self, line):
        """Whether a line of metrics is of a step before this one; what was torn as it was written is not."""
        try:
            record = json.loads(line)
            return (record["phase"], record["step"]) <= (self.phase, self.step)
        except (ValueError, KeyError, TypeError):
            return False

    def finish(self):
        """Measure on validation and test data, write model.pt (weights, recipe, metrics); the metrics."""
        held_out = {"validation": self.validation, "test": self.test}
        metrics: dict = processes.first(lambda: {name: evaluate(self.model, part) for name, part in held_out.items()})
        if not self.leads:
            return metrics
        metrics |= {"seed": self.recipe.seed, "seconds": round(self.seconds), "torch": str(torch.__version__)}
        metrics |= {"device": self.device.type}
        weights = {name: value.cpu() for name, value in self.model.state_dict().items()}
        state = {"recipe": self.recipe.to_dict(), "pruned": self.pruned, "model": weights, "metrics": metrics}
        state |= {"data": self.about}
        write_atomically(state, self.folder / "model.pt")
        write(self.folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        return metrics


def _mean(window):
    """The means of a window of steps as plain numbers: one wait for the device."""
    names = list(window[0])
    values = torch.stack([torch.stack([step[name].float() for name in names]) for step in window]).mean(0)
    return dict(zip(names, values.tolist()))
