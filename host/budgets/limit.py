"""Keep average power, or average energy an image, under a limit by choosing the budget of the next batch.

    plan = LimitPlan(parse_limit("0.8mJ"), low, high)     # low, high: budgets in FLOPs
    budget, most = plan.next(done, seconds)
    plan.ran_with(images, seconds, joule)                 # measured, or modelled: whoever calls it knows

Feedback alone, no model of the board: after each batch the budget is scaled by (aim ÷ found)^GAIN. The aim is the limit
less MARGIN, plus what was left unused so far, spread over the next batches; so noise and the slow start from the
smallest budget are paid back, and the average stays below. The budget chosen is a hard one, for each image.
"""

import re
from dataclasses import dataclass

from hls.errors import UserError
from host.budgets.budget import Budget
from host.budgets.plan import Plan
from host.budgets.schedule import SMALL

UNITS = {
    "W": ("power", 1.0),
    "mW": ("power", 1e-3),
    "J": ("energy", 1.0),
    "mJ": ("energy", 1e-3),
    "uJ": ("energy", 1e-6),
}
MARGIN = 0.005  # of the limit, never aimed at
RESERVE = 0.25  # of a batch at the limit: what noise may take before the average is over
SPREAD = 12  # batches over which what was left unused is spent
GAIN = 0.5  # half a step towards the aim: noise is halved, and plants that grow as budget^3 still settle
STEP = 1.6  # the most that a budget grows or shrinks at once
PATIENCE = 6  # batches in a row at the smallest budget and over the limit before that is said
_LIMIT = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*([a-zA-Zµμ]+)", re.ASCII)


@dataclass(frozen=True)
class Limit:
    """`kind` is power (amount in W, on average) or energy (amount in J an image, on average)."""

    kind: str
    amount: float
    text: str

    def show(self, value):
        """A value of the limit's kind, for people."""
        return f"{value:.3g} W" if self.kind == "power" else f"{value * 1e3:.3g} mJ"


def parse_limit(text):
    """The Limit that `text` says (2.9W, 900mW, 0.8mJ, 500uJ). UserError."""
    text = str(text).strip()
    match = _LIMIT.fullmatch(text.replace("µ", "u").replace("μ", "u"))
    if not match or match[2] not in UNITS:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise UserError(f"limit {shown!r} is not understood: expected power (2.9W, 900mW) or energy (0.8mJ, 500uJ)")
    kind, unit = UNITS[match[2]]
    amount = float(match[1]) * unit
    if amount <= 0:
        raise UserError(f"limit {text!r} is nothing: give more than 0")
    return Limit(kind, amount, text)


class LimitPlan(Plan):
    """A budget that follows what the batches before took.

    `gauge(images, results, seconds)` gives (joule, seconds) of a batch, or None while it does not know.
    """

    kind = "limit"

    def __init__(self, limit, low, high, gauge=None):
        super().__init__(Budget("flops", low))
        self.limit, self._low, self._high, self._gauge = limit, low, max(high, low), gauge
        self._flops = float(low)
        self.joule = self.weight = 0.0  # spent so far, over so many images (energy) or seconds (power)
        self._unknown = 0  # images since the gauge last knew
        self._stuck = 0

    @property
    def average(self):
        """Watts or joules an image so far; None before the first is known."""
        return self.joule / self.weight if self.weight else None

    def summary(self):
        """What was kept, as a report says it; the average is in W or mJ an image."""
        average = self.average if self.limit.kind == "power" or self.average is None else self.average * 1e3
        return {
            "text": self.limit.text,
            "of": self.limit.kind,
            "average": average,
            "unit": "W" if self.limit.kind == "power" else "mJ an image",
            "kept": self.average is not None and self.average <= self.limit.amount,
            "kind": getattr(self._gauge, "kind", "modelled"),
        }

    def next(self, done, seconds):
        return self.budget, SMALL

    def ran(self, images, results, seconds):
        self._unknown += images
        found = self._gauge(images, results, seconds) if self._gauge else None
        if found is not None:
            self.ran_with(self._unknown, found[1], found[0])
            self._unknown = 0

    def ran_with(self, images, seconds, joule):
        """`images` took `seconds` and `joule` under the present budget: choose the next. UserError if none will do."""
        weight = images if self.limit.kind == "energy" else seconds
        if weight <= 0 or joule < 0:
            return
        self.joule += joule
        self.weight += weight
        aim, found = self._aim(weight), max(joule / weight, 1e-12)
        self._check(found)
        factor = min(max((aim / found) ** GAIN, 1 / STEP), STEP)
        self._flops = min(max(self._flops * factor, self._low), self._high)
        self.budget = Budget("flops", int(self._flops))

    def _aim(self, weight):
        """What the next batch may take, per image or second, so that the average stays under the limit."""
        amount = self.limit.amount * (1 - MARGIN)
        unused = amount * self.weight - self.joule - RESERVE * self.limit.amount * weight
        return min(max(amount + unused / (SPREAD * weight), 0.2 * amount), 2 * amount)

    def _check(self, found):
        over = self.average > self.limit.amount and found > self.limit.amount
        self._stuck = self._stuck + 1 if over and self._flops <= self._low else 0
        if self._stuck >= PATIENCE:
            power = self.limit.kind == "power"
            what, remedy = ("of power", ", or let images arrive more slowly (--rate)") if power else ("an image", "")
            raise UserError(
                f"limit {self.limit.text} cannot be kept: even the smallest budget, {self.budget} FLOPs, takes about "
                f"{self.limit.show(self.average)} {what}: give a higher --limit{remedy}"
            )
