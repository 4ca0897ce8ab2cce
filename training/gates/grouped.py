"""Dynamic grouping: a convolution that learns which channels it connects (Zou et al. 2023, Eqs. 2–4, Fig. 3).

    conv = GroupedConvolution(32, stride=2)                # the groups are learnt
    conv = GroupedConvolution(32, stride=2, groups=4)      # four groups of neighbours
    conv = convolution(32, 2, "dynamic")                   # what other gates' recipes ask for; 1 is a plain one

Its weights (C, C, 3, 3) count where a relation M (C, C) of 0 and 1 is 1. M is the Kronecker product of log2 C factors
of 2 × 2, each full or the identity, by the sign of a learnt number (Eqs. 3 and 4; Zhang et al., ICCV 2019, has the
convolution, DGConv). So two channels are connected if their numbers have equal bits wherever the factor is the
identity: M is a grouped convolution in another order of channels, with twice as many groups for each identity.
"""

from itertools import groupby

import torch
from torch import nn
from torch.nn import functional

from hls import cost

GROUPS = (1, 2, 4, 8, "dynamic")
START = 0.1  # of the learnt numbers: everything is connected


class GroupedConvolution(nn.Module):
    """3×3 convolution of C to C channels, C a power of two; `groups`: fixed, or 0 where they are learnt."""

    def __init__(self, channels, stride, groups=0):
        super().__init__()
        bits = channels.bit_length() - 1
        if channels != 1 << bits or (groups and (groups & groups - 1 or groups > channels)):
            raise ValueError(f"{channels} channels in {groups} groups: expected powers of two")
        self.conv = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight)
        numbers = torch.full((bits,), START)
        if groups:
            numbers[: groups.bit_length() - 1] = -START
            self.register_buffer("numbers", numbers)
        else:
            self.numbers = nn.Parameter(numbers)

    def factors(self):
        """(log2 C,) 1 for a full factor, 0 for an identity; the gradient goes straight to the numbers (Eq. 4)."""
        hard = (self.numbers >= 0).to(self.numbers.dtype)
        return hard + (self.numbers - self.numbers.detach())

    def relation(self):
        """M, (C, C): row and column are output and input channels (Eq. 3)."""
        whole = self.numbers.new_ones(1, 1)
        full, identity = self.numbers.new_ones(2, 2), torch.eye(2).to(self.numbers)
        for factor in self.factors():
            whole = torch.kron(whole, factor * full + (1 - factor) * identity)
        return whole

    def forward(self, x):
        """(N, C, H, W) → (N, C, H/stride, W/stride)."""
        weight = self.conv.weight * self.relation()[:, :, None, None].to(self.conv.weight.dtype)
        return functional.conv2d(x, weight, None, self.conv.stride, 1)

    def cost(self, size):
        """FLOPs for an output of `size`; in training a tensor, differentiable by the learnt numbers."""
        connected = (2 + 2 * self.factors()).prod()
        connected = connected if self.training and torch.is_grad_enabled() else round(connected.item())
        return cost.conv_flops(*size, 1, 1, 3) * connected

    @torch.no_grad()
    def split(self):
        """The bits of a channel's number, from the highest, in which connected channels agree: a tuple of places."""
        return tuple(place for place, number in enumerate(self.numbers.tolist()) if number < 0)

    def bits_of(self, channel, places):
        """A channel's bits at such places, a tuple."""
        return tuple(channel >> (len(self.numbers) - 1 - place) & 1 for place in places)

    def order(self, *splits):
        """Channels sorted by their bits at the places of `splits`, the first before all, so that groups are rows."""
        places = tuple(dict.fromkeys(place for split in splits for place in split))
        return sorted(range(1 << len(self.numbers)), key=lambda channel: self.bits_of(channel, places))

    def lower(self, graph, x, order, target, bn):
        """One convolution for each group of inputs and each run of its outputs, behind it `bn` and a ReLU, as nodes.

        `order`: the channels of the map `x`, sorted by groups; `target`: those of the map that is made.
        """
        outputs, parts, first = [], [], 0
        while first < len(target):
            group = self.bits_of(target[first], self.split())
            last = first
            while last < len(target) and self.bits_of(target[last], self.split()) == group:
                last += 1
            outputs.append((group, target[first:last]))
            first = last
        for group, rows in outputs:
            inputs = [channel for channel in order if self.bits_of(channel, self.split()) == group]
            source = _taken(graph, x, [order.index(channel) for channel in inputs])
            parts.append(graph.convolution(source, self.conv, bn, relu=True, part=(rows, inputs)))
        return parts[0] if len(parts) == 1 else graph.concat(parts)


def _taken(graph, x, places):
    """The channels of a map at rising places, as a node: copied together where they are not side by side."""
    runs = [[place for _, place in run] for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0])]
    parts = [graph.channels(x, run[0], len(run)) if len(run) < x.channels else x for run in runs]
    return parts[0] if len(parts) == 1 else graph.concat([graph.affine(one, relu=not one.signed) for one in parts])


def check(groups):
    """Raises ValueError for a number of groups that no gate has."""
    if groups not in GROUPS:
        raise ValueError(f"groups {groups!r}: expected one of {', '.join(map(str, GROUPS))}")


def fixed(groups):
    """GroupedConvolution's `groups` for a recipe's."""
    return 0 if groups == "dynamic" else groups


def convolution(channels, stride, groups=1):
    """A 3×3 convolution of `channels` to as many: plain for one group, else a GroupedConvolution. ValueError."""
    check(groups)
    if groups != 1:
        return GroupedConvolution(channels, stride, fixed(groups))
    conv = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv


def flops(conv, size):
    """What such a convolution costs for an output of `size`."""
    if isinstance(conv, GroupedConvolution):
        return conv.cost(size)
    return cost.conv_flops(*size, conv.in_channels, conv.out_channels, 3)


def lower(graph, x, conv, bn):
    """Such a convolution with `bn` and a ReLU as nodes: (the map, the order of its channels, None as they are)."""
    if not isinstance(conv, GroupedConvolution):
        return graph.convolution(x, conv, bn, relu=True), None
    order = conv.order(conv.split())
    return conv.lower(graph, x, list(range(x.channels)), order, bn), order
