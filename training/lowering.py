"""What units, gates and exits ask of the graph that they lower themselves to; export/ has it (export/fold.py).

    model.lower(graph, channels, size)      # Dynamic writes itself node by node

Every part lowers itself by a method, so export knows no class of training by name. Batch norms and standardisations are
handed over as modules and folded by the graph. Values are what the graph's own methods return.
"""

from typing import Any, Protocol

Value = Any  # a map, a vector or a mask of the graph


class Graph(Protocol):
    """Nodes of a network as the engine runs it, in order."""

    def image(self, channels: int, size: tuple[int, int]) -> Value:
        """Normalised pixels."""

    def convolution(
        self,
        x: Value,
        conv,
        bn=None,
        relu=True,
        add=None,
        in_mask=None,
        out_mask=None,
        over=None,
        part=None,
        limit=None,
    ) -> Value:
        """`conv` with `bn` folded, plus the map `add`, then ReLU and a cut at `limit`.

        Channels that `out_mask` closes are not computed: with `add` they are as `add` has them, with `over` as that
        map has them, else 0. Channels that `in_mask` closes are not read. `part`: the output channels and the input
        channels of `conv` that are meant, two lists.
        """

    def affine(self, x: Value, line=None, relu=True, limit=None) -> Value:
        """Each channel by `line`, a batch norm or a `weight` and a `bias`, then ReLU and a cut; else a copy."""

    def zeros(self, x: Value) -> Value:
        """A map like `x`, of zeros."""

    def channels(self, x: Value, first: int, count: int) -> Value:
        """`count` channels of a map from `first` on."""

    def concat(self, parts) -> Value:
        """The channels of some maps, one behind the other."""

    def view(self, x: Value, rows: int, columns: int) -> Value:
        """So many rows and columns of zeros at the bottom and the right; negative numbers cut off."""

    def flatten(self, x: Value) -> Value:
        """A map's pixels as a vector: all of the first channel, then all of the second."""

    def pad(self, x: Value, before: int, after: int, stride: int) -> Value:
        """Every stride-th pixel, between channels of zeros."""

    def pool(self, x: Value, kernel: int, stride: int | None = None, padding: int = 0, average: bool = False) -> Value:
        """Max or average pooling; the stride is the kernel's where None."""

    def mean(self, x: Value) -> Value:
        """A map's global average: a vector."""

    def linear(self, v: Value, fc, before=None, after=None, shift=None, relu=False, inputs=None, outputs=None) -> Value:
        """`fc` on a vector; batch norms `before` and `after` without affine part, and a `shift` (outputs,), folded.

        `inputs`: the inputs of `fc` in the order in which the vector has them; `outputs`: those of `fc` that are
        wanted, in order, one or several times.
        """

    def lstm(self, v: Value, cell, state=None) -> Value:
        """One step of an LSTMCell: its hidden state; `state` is what the step before returned."""

    def channel_gate(self, logits: Value, unit: int) -> Value:
        """The mask of positive logits."""

    def layer_gate(self, logit: Value, unit: int, otherwise: Value) -> Any:
        """A context: what is added within runs only where the logit is positive.

        It gives a function that ends it: of what stands after it where it ran, in place of `otherwise`; the value of
        either.
        """

    def join(self, vectors) -> Value:
        """Some vectors, one behind the other."""

    def class_exit(self, v: Value, weight, bias, place) -> Value:
        """An exit for one class (training/class_exits/places.py, Place): its score is `weight` (n,) · v + `bias`."""

    def exit(self, unit: int | None) -> Any:
        """A context for the classifier of an exit behind `unit` (None: the network's own).

        It gives a function that ends it, of the logits.
        """
