"""Training batches on the device: the whole data set as one uint8 tensor, augmented where it lies.

    train, validation, test = Split.load("cifar10", folder, device)
    for images, labels in train.batches(step, steps, 128, seed):   # (128, 3, 32, 32) normalised floats, (128,)

A batch is a function of (seed, step) alone, so a run that resumes at any step sees the same images as one that never
stopped. Crops are padded by reflection: gates key on the black border that the usual zero padding leaves.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from data.parts import About, read_parts
from hls.errors import UserError


def per_channel(values, device="cpu"):
    """Numbers a channel as a tensor (1, C, 1, 1), to be used on images (N, C, H, W)."""
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


@dataclass
class Split:
    """Images and labels of one part of a data set, on a device."""

    images: torch.Tensor  # (N, C, H, W) uint8
    labels: torch.Tensor  # (N,) int64
    mean: torch.Tensor  # (1, C, 1, 1), pixels in [0, 1]
    std: torch.Tensor
    classes: int
    about: About  # of the whole data set: names of the classes, and how it is read again
    share: tuple = (0, 1)  # (rank, world): of every batch, the images that this one of several processes gets

    @classmethod
    def load(cls, name, folder, device, validation=5000, images=None):
        """The training, validation and test parts: see data.parts.read_parts."""
        parts = read_parts(name, folder, validation, images)
        if images is not None and images.stream:
            from training.large.stream import Stream  # a Split itself

            return [Stream.of(*part, parts.about, device) for part in (parts.train, parts.validation, parts.test)]
        statistics = parts.about.mean, parts.about.std, len(parts.about.classes)
        arrays = parts.train, parts.validation, parts.test
        return [cls.from_arrays(*part, *statistics, device, parts.about) for part in arrays]

    @classmethod
    def from_arrays(cls, images, labels, mean, std, classes, device="cpu", about=None):
        """From (N, H, W, C) uint8 images and (N,) labels; without `about` classes are called by their numbers.

        Raises UserError for a label that is no class.
        """
        labels = np.asarray(labels).astype(np.int64)
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            found = f"labels from {labels.min()} to {labels.max()}"
            raise UserError(f"{found} with {classes} classes: expected 0 to {classes - 1}, one for each class name")
        about = about or About("arrays", tuple(map(str, range(classes))), tuple(mean), tuple(std))
        mean, std = (per_channel(values, device) for values in (mean, std))
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)
        return cls(pixels, torch.from_numpy(labels).to(device), mean, std, classes, about)

    def normalise_by(self, mean, std):
        """Normalise by other statistics from now on, one number a channel, of pixels in [0, 1]."""
        self.mean, self.std = (per_channel(values, self.images.device) for values in (mean, std))

    @property
    def channels(self):
        """Of an image."""
        return self.images.shape[1]

    @property
    def size(self):
        """(height, width) of an image."""
        return tuple(self.images.shape[2:])

    def __len__(self):
        return len(self.images)

    def normalise(self, pixels):
        """uint8 pixels → normalised float32, channels last in memory."""
        floats = (pixels.float() / 255 - self.mean) / self.std
        return floats.contiguous(memory_format=torch.channels_last)

    def batches(self, start, stop, size, seed, pad=4, flip=True, alternate=False):
        """Augmented batches for steps `start` to `stop`, shuffled anew each epoch.

        Images are mirrored by chance, or with `alternate` every other epoch, the first time by a coin of their own.
        """
        rank, world = self.share
        for epoch, step, order in self._order(start, stop, size, seed):
            chosen = torch.from_numpy(order).to(self.images.device)
            chances = mirror_chances(order, epoch, seed, flip, alternate)
            pixels = augment(self.images[chosen], np.random.default_rng((seed, epoch, step)), pad, chances)
            yield self.normalise(pixels[rank::world]), self.labels[chosen[rank::world]]

    def _order(self, start, stop, size, seed):
        """(epoch, step, indices (size,)) for steps `start` to `stop`."""
        per_epoch = len(self) // size
        epoch, order = -1, np.arange(0)
        for step in range(start, stop):
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                order = np.random.default_rng((seed, epoch)).permutation(len(self))
            yield epoch, step, order[step % per_epoch * size :][:size]

    def plain_batches(self, size, limit=None):
        """The first `limit` images in order, as they are."""
        count = len(self) if limit is None else min(limit, len(self))
        for at in range(0, count, size):
            part = slice(at, min(at + size, count))
            yield self.normalise(self.images[part]), self.labels[part]


def mirror_chances(index, epoch, seed, flip=True, alternate=False):
    """Chances (N,) that images `index` are mirrored in an epoch; `alternate`: once in any two (Jordan's airbench)."""
    if not (flip and alternate):
        return np.full(len(index), 0.5 if flip else 0.0)
    coin = (np.asarray(index, np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)
    return ((coin + np.uint64(epoch)) & np.uint64(1)).astype(float)


def augment(pixels, rng, pad, mirror):
    """Random crops of (N, 3, H, W) uint8 images padded by reflection, mirrored by chance: `mirror`, or (N,) of each."""
    n, _, height, width = pixels.shape
    device = pixels.device
    padded = functional.pad(pixels.float(), (pad,) * 4, mode="reflect").to(torch.uint8) if pad else pixels
    y0, x0 = (torch.from_numpy(rng.integers(0, 2 * pad + 1, n)).to(device) for _ in range(2))
    mirrored = torch.from_numpy(rng.random(n) < mirror).to(device)
    rows = y0[:, None] + torch.arange(height, device=device)  # (N, H)
    columns = torch.arange(width, device=device)[None].expand(n, -1)
    columns = x0[:, None] + torch.where(mirrored[:, None], width - 1 - columns, columns)  # (N, W)
    image = torch.arange(n, device=device)
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def sides(split, side):
    """(height, width) of a split's images after `resized`."""
    return (side, side) if side else split.size


def resized(images, side):
    """(N, C, H, W) images at `side` × `side`; as they are for 0."""
    if not side or images.shape[-1] == side:
        return images
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
