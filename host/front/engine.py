"""A package as a function from pictures to predictions, on whatever this machine has: a board, or the engine's C++.

    engine = Engine("packages/fashion-mnist.npz")
    for found in engine.predict(["shoe.png", "bag.png"], budget="74M"):
        print(found.name, found.probability, found.flops, found.exit_name)

numpy is all that it needs; JPEG and WebP need Pillow.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from data.errors import DataError
from data.fit import rule_of
from data.pictures import decode, read_picture
from hls import isa
from hls.errors import UserError
from hls.golden.maps import requantize
from hls.package import read
from hls.program import decode as fields_of
from host.backend import Backend
from host.backends import open_backend
from host.batches import Batches, run_batches
from host.board import catalog
from host.budgets import budget as budgets
from host.budgets.plan import FixedPlan
from host.energy import model
from host.job import Job, exits_under, package_path, under_rule

Picture = str | Path | bytes | np.ndarray  # a file, its bytes, or pixels (H, W), (H, W, 1) or (H, W, 3) uint8
REASONS = {value: name.lower() for name, value in isa.REASONS.items()}


@dataclass(frozen=True)
class Prediction:
    """What the engine found in one picture, and what it took."""

    name: str  # of the class
    label: int  # its number
    probabilities: np.ndarray = field(repr=False)  # (classes,) float64, by the logits of the exit that was taken
    exit: int  # number of the exit that was taken
    exit_name: str
    reason: str  # end, budget or rule: why it stopped there
    flops: int
    cycles: int
    seconds: float  # on the board
    seconds_kind: str  # modelled, or measured by the board's timer
    joules: float | None  # modelled; None for a board without coefficients
    trace: np.ndarray = field(repr=False)  # (gates,) int32: channels that ran, or isa.TRACE_SKIPPED, TRACE_NOT_REACHED
    blocks_run: int = 0  # of the gated blocks
    channels_run: int = 0  # of the gated channels

    @property
    def probability(self) -> float:
        """Of the class that was found."""
        return float(self.probabilities[self.label])

    def top(self, count: int, names: Sequence[str]) -> list[tuple[str, float]]:
        """The `count` most likely classes, most likely first, with their probabilities."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(names[index], float(self.probabilities[index])) for index in order]


class Engine:
    """A package, ready to run. `with` gives a board back; without it that is done when the program ends."""

    def __init__(
        self,
        package: str | Path,
        backend: str | Backend = "auto",
        board: str = catalog.DEFAULT,
        threads: int = 1,
        class_exit: str | None = None,
    ) -> None:
        """`package`: a path, or a name in packages/. `backend`: as host/run.py's --backend, or an open one.

        `class_exit`: a class for which images stop early.

        Raises UserError, one line, for whatever cannot be read, opened or built.
        """
        if not isinstance(package, (str, Path)):
            raise UserError(f"package {package!r}: expected a path of one, or a name in packages/")
        path = package_path(package)
        package_read = read(path)
        self.package = package_read if class_exit is None else package_read.with_class_exit(class_exit)
        self.path, self.sha256 = path, hashlib.sha256(path.read_bytes()).hexdigest()
        self.board = catalog.read(board)
        self.rule = rule_of(self.package)
        self.backend = backend if isinstance(backend, Backend) else _open(backend, board, threads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by their numbers."""
        return tuple(self.package.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) that pictures are made to, by `rule`."""
        return self.package.image_shape

    @property
    def full_flops(self) -> int:
        """FLOPs of the whole network, with every gate open."""
        return self.package.exits[-1]["flops"]

    def smallest_budget(self, kind: str = "flops") -> str:
        """The smallest budget that works: `kind` is flops, time or energy."""
        return str(budgets.smallest(kind, exits_under(self.package, isa.RULE_NONE), self.board))

    def fit(self, picture: Picture, name: str = "the picture") -> np.ndarray:
        """(*image_shape) uint8 of a picture of any size, by the package's rule. Raises UserError."""
        if isinstance(picture, (str, Path)):
            return self.rule.apply(read_picture(picture), picture)
        pixels = decode(picture, name) if isinstance(picture, bytes) else _array(picture, name)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
            shape = f"{pixels.dtype} {pixels.shape}"
            raise DataError(f"{name} is {shape}, expected uint8 (H, W), (H, W, 1) or (H, W, 3): convert it")
        return self.rule.apply(pixels, name)

    def predict(
        self,
        images: Picture | Sequence[Picture],
        budget: str = "none",
        entropy: float | None = None,
        average_budget: str | None = None,
    ) -> list[Prediction]:
        """A Prediction for each picture, none of which spends more than `budget` (74M, 1.5ms, 0.8mJ, none).

        `images`: one picture, a sequence of them, or pixels (N, H, W, C) uint8. `entropy`: stop at the first exit under
        so many nats. `average_budget`: stop early enough to keep it on the average. Raises UserError for what cannot be
        used, OverBudget where the engine spent more, which is a fault of it.
        """
        pixels = self._pixels(images)
        if not len(pixels):
            return []
        return self.predictions(*self.run(pixels, budget, entropy, average_budget))

    def run(
        self, pixels: np.ndarray, budget: str = "none", entropy: float | None = None, average_budget: str | None = None
    ) -> tuple[Job, Batches]:
        """The job of pixels (N, *image_shape) uint8, and its records. Raises as `predict` does."""
        job = self.job(pixels, entropy, average_budget).on(self.backend)
        asked = budgets.parse(budget)
        job.check(asked)
        return job, run_batches(self.backend, job, FixedPlan(asked))

    def _pixels(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        one = isinstance(images, (str, Path, bytes)) or (isinstance(images, np.ndarray) and images.ndim < 4)
        if one or not isinstance(images, Iterable):
            images = [images]
        fitted = [self.fit(one, f"picture {index}") for index, one in enumerate(images)]
        return np.stack(fitted) if fitted else np.zeros((0, *self.image_shape), np.uint8)

    def job(self, pixels: np.ndarray, entropy: float | None = None, average_budget: str | None = None) -> Job:
        """The host.job.Job of pixels (N, *image_shape) uint8 under a stopping rule."""
        package, rule, threshold, chosen = under_rule(self.package, average_budget, entropy)
        return Job(
            package=package,
            path=self.path,
            sha256=self.sha256,
            images=pixels,
            labels=np.zeros(len(pixels), np.int64),  # not known
            source="pictures",
            board=self.board,
            exits=exits_under(package, rule),
            rule=rule,
            threshold=threshold,
            average=chosen,
        )

    def predictions(self, job: Job, batches: Batches) -> list[Prediction]:
        """Records as Predictions."""
        results, measured = batches.results, batches.measured_cycles
        seconds = job.board.seconds(results.cycles if measured is None else measured)
        joules = model.modelled(results, job.board).joule if job.board.energy else np.full(len(seconds), np.nan)
        shares = probabilities(self.package, results)
        own = [number for number, gate in enumerate(self.package.meta["gates"]) if not gate["channels"]]
        blocks = results.layers_run - (results.trace[:, own] == 0).sum(1)  # a class exit's gate is none of a block
        return [
            Prediction(
                name=self.classes[int(results.label[index])],
                label=int(results.label[index]),
                probabilities=shares[index],
                exit=int(results.exit[index]),
                exit_name=self.package.exits[int(results.exit[index])]["name"],
                reason=REASONS[int(results.reason[index])],
                flops=int(results.flops[index]),
                cycles=int(results.cycles[index]),
                seconds=float(seconds[index]),
                seconds_kind="modelled" if measured is None else "measured",
                joules=None if np.isnan(joules[index]) else float(joules[index]),
                trace=results.trace[index],
                blocks_run=int(blocks[index]),
                channels_run=int(results.channels_run[index]),
            )
            for index in range(len(seconds))
        ]

    def close(self) -> None:
        """Give back what the backend holds."""
        self.backend.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def probabilities(package, results):
    """(N, classes) float64: softmax of the logits, by the scale of the exit that each image took.

    EXIT's scale turns a difference of logits into nats · 2^8, as the engine itself does for its entropy.
    """
    scales = {
        fields["exit"]: fields["scale"] for fields in map(fields_of, package.program[package.program[:, 0] == isa.EXIT])
    }
    logits = results.logits.astype(np.int64)
    below = logits - logits.max(1, keepdims=True)
    nats = np.stack([requantize(row, scales[int(exit_)]) for row, exit_ in zip(below, results.exit)]) / 256
    shares = np.exp(nats)
    return shares / shares.sum(1, keepdims=True)


def _array(picture, name):
    """A picture that is no file as numpy has it. DataError for what has no shape."""
    try:
        return np.asarray(picture)
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())[:80]
        raise DataError(f"{name} is no array ({line}): expected uint8 (H, W), (H, W, 1) or (H, W, 3)") from None


def _open(name, board, threads):
    if type(threads) is not int or threads < 1:
        raise UserError(f"threads {threads!r}: expected a whole number, 1 or more")
    return open_backend(SimpleNamespace(backend=name, board=board, threads=threads, interrupt=False), _quiet)


def _quiet(message):
    """A library says nothing of what it did without."""
