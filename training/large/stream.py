"""Training pictures that no memory holds: class folders such as ImageNet's, read as they are needed.

    train, validation, test = Split.load("imagenet", folder, device, images=Images((224, 224), stream=True))

Training sees a random part of each picture, scaled to the network's size, and its mirror image for every second one
(Szegedy et al., CVPR 2015, section 6); all else sees it by the rule of its recipe. A picture's part is a function
of (seed, epoch, step, place in the batch), so that runs resume, and so that several processes see what one would see.
Pictures are read by processes of their own, ahead of the training step.
"""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.fit import Fit, as_channels, scale
from data.pictures import read_picture
from hls.errors import UserError
from training.data import Split, mirror_chances, per_channel

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of the part that training sees: its share of the picture, width to height
TRIES = 10
MOST_READERS = 16


@dataclass
class Pictures:
    """What stands for a Split's tensor (N, C, H, W) uint8: a slice or indices of it are read when asked for."""

    items: Any  # paths, or pixels (H, W, C) uint8
    rule: Fit
    device: torch.device

    def __len__(self):
        return len(self.items)

    @property
    def shape(self):
        """(N, C, H, W)."""
        return torch.Size((len(self), self.rule.channels, *self.rule.size))

    def __getitem__(self, chosen):
        """(n, C, H, W) uint8 on the device: of a slice, or of indices (n,)."""
        indices = range(len(self))[chosen] if isinstance(chosen, slice) else chosen.tolist()
        pixels = np.stack([self.rule.apply(self.read(i), self.items[i]) for i in indices])
        return _on(pixels, self.device)

    def read(self, index):
        """(H, W, C) uint8 of one picture as it lies there."""
        item = self.items[index]
        return item if isinstance(item, np.ndarray) else read_picture(item)


@dataclass
class Stream(Split):
    """A Split whose `images` are Pictures."""

    images: Any

    @classmethod
    def of(cls, items, labels, about, device):
        """From items of a Collection and labels (N,)."""
        statistics = [per_channel(values, device) for values in (about.mean, about.std)]
        labels = torch.from_numpy(np.asarray(labels).astype(np.int64)).to(device)
        pictures = Pictures(items, about.images.rule, torch.device(device))
        return cls(pictures, labels, statistics[0], statistics[1], len(about.classes), about)

    def batches(self, start, stop, size, seed, pad=0, flip=True, alternate=False):
        """Batches for steps `start` to `stop`, shuffled anew each epoch; `pad` is for pictures of one size alone."""
        keys: Any = _Keys(self, start, stop, size, seed, flip, alternate)
        count, parts = readers(self.share[1]), _Parts(self.images)
        ahead = 4 if count else None  # batches a reader
        for found in DataLoader(parts, batch_sampler=keys, collate_fn=_stack, num_workers=count, prefetch_factor=ahead):
            if isinstance(found, UserError):
                raise found
            pixels, chosen = found
            yield self.normalise(_on(pixels, self.images.device)), self.labels[torch.from_numpy(chosen)]


def readers(world):
    """Processes that read for one of `world` training processes; 0 where there is one core: it reads by itself."""
    cores = os.cpu_count() or 1
    return min(cores // world, MOST_READERS) if cores > 1 else 0


@dataclass
class _Keys:
    """Which pictures make each batch, and how each is seen: lists of (index, key of its random numbers, chance of a
    mirror image)."""

    split: Stream
    start: int
    stop: int
    size: int
    seed: int
    flip: bool
    alternate: bool

    def __iter__(self):
        rank, world = self.split.share
        for epoch, step, order in self.split._order(self.start, self.stop, self.size, self.seed):
            places = range(rank, len(order), world)
            chances = mirror_chances(order, epoch, self.seed, self.flip, self.alternate)
            yield [(int(order[place]), (self.seed, epoch, step, place), chances[place]) for place in places]

    def __len__(self):
        return self.stop - self.start


@dataclass
class _Parts(Dataset):
    """A map from _Keys' keys to (pixels, index), as a DataLoader asks for it; or to what is wrong with a picture.

    A DataLoader would put a traceback into the text of what its processes raise.
    """

    pictures: Pictures

    def __getitem__(self, index):
        try:
            return self._seen(*index)
        except UserError as error:
            return error

    def _seen(self, index, seed, mirror):
        rule, rng = self.pictures.rule, np.random.default_rng(seed)
        pixels = as_channels(self.pictures.read(index), rule.channels)
        pixels = scale(part(pixels, rng), rule.size)
        return (pixels[:, ::-1] if rng.random() < mirror else pixels), index


def part(pixels, rng):
    """A random part of (H, W, C): so much of the AREA, in such a RATIO; the middle square where none fits."""
    height, width = pixels.shape[:2]
    for _ in range(TRIES):
        area = height * width * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(*map(math.log, RATIO)))
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            y, x = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
            return pixels[y : y + rows, x : x + columns]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return pixels[y : y + side, x : x + side]


def _stack(samples):
    """(pixels (n, H, W, C), indices (n,)), or the first error."""
    wrong = [sample for sample in samples if isinstance(sample, UserError)]
    if wrong:
        return wrong[0]
    pixels, indices = zip(*samples)
    return np.stack(pixels), np.array(indices)


def _on(pixels, device):
    """(N, H, W, C) uint8 → (N, C, H, W) on a device."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(device)
