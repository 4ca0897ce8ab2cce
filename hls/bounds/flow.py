"""Control flow of one loop: its blocks in order, what decides that a block runs, and the paths through an iteration.

for loop in loops(function): print(loop.header, len(loop.blocks), loop.innermost)
"""

from dataclasses import dataclass, field

from hls.bounds.ir import Function


@dataclass
class Loop:
    """A natural loop. `order`: its blocks, each before those that it leads to within an iteration."""

    function: Function
    header: str
    latches: list
    blocks: set
    number: str  # of its metadata
    order: list
    innermost: bool = True
    kept: dict = field(default_factory=dict)  # what `before` and `after` found

    def instructions(self):
        """Every instruction of an iteration, in order."""
        for name in self.order:
            yield from self.function.blocks[name].instructions

    def before(self, name):
        """The blocks that lead to this one within an iteration."""
        if ("before", name) not in self.kept:
            found = self.function.blocks[name].predecessors if name != self.header else []
            self.kept["before", name] = [each for each in found if each in self.blocks]
        return self.kept["before", name]

    def after(self, name):
        """The blocks that this one leads to within an iteration."""
        if ("after", name) not in self.kept:
            found = self.function.blocks[name].successors
            self.kept["after", name] = [each for each in found if each in self.blocks and each != self.header]
        return self.kept["after", name]

    def behind(self, name):
        """The blocks that an iteration may reach from this one."""
        if ("behind", name) not in self.kept:
            seen, work = set(), list(self.after(name))
            while work:
                each = work.pop()
                if each not in seen:
                    seen.add(each)
                    work += self.after(each)
            self.kept["behind", name] = seen
        return self.kept["behind", name]

    def longest(self, weights):
        """The largest sum of block → weight over the paths of an iteration."""
        best = {}
        for name in self.order:
            best[name] = weights.get(name, 0) + max((best[each] for each in self.before(name)), default=0)
        return max(best.values(), default=0)


def loops(function):
    """The Loops of a function, those of one header as one."""
    blocks = function.blocks
    bodies, numbers, latches = {}, {}, {}
    for tail, head in _back_edges(blocks):
        body, work = bodies.setdefault(head, {head}), [tail]
        while work:
            name = work.pop()
            if name not in body:
                body.add(name)
                work += blocks[name].predecessors
        latches.setdefault(head, []).append(tail)
        numbers[head] = blocks[tail].end.loop or numbers.get(head, "")
    found = []
    for head, body in bodies.items():
        inner = [other for other in bodies if other != head and other in body]
        order = _order(blocks, head, body)
        found.append(Loop(function, head, latches[head], body, numbers[head], order, not inner))
    return found


def _back_edges(blocks):
    """(tail, head) of the edges that lead back to a block on the way to them."""
    state, found = {}, []
    first = next(iter(blocks))
    stack = [(first, iter(blocks[first].successors))]
    state[first] = "open"
    while stack:
        name, rest = stack[-1]
        for each in rest:
            if state.get(each) == "open":
                found.append((name, each))
            elif each not in state:
                state[each] = "open"
                stack.append((each, iter(blocks[each].successors)))
                break
        else:
            state[name] = "done"
            stack.pop()
    return found


def _order(blocks, head, body):
    """The blocks of a body, topologically; back edges of inner loops do not count."""
    seen, done = {head}, []
    stack = [(head, iter(blocks[head].successors))]
    while stack:
        name, rest = stack[-1]
        for each in rest:
            if each in body and each not in seen:
                seen.add(each)
                stack.append((each, iter(blocks[each].successors)))
                break
        else:
            done.append(name)
            stack.pop()
    return done[::-1]


class Decisions:
    """Which branches decide that a block of a loop runs, or which way it was reached."""

    def __init__(self, loop):
        self.loop = loop
        self.dominator = _dominators(loop.order, loop.before)
        ends = [name for name in loop.order if not loop.after(name)]
        backwards = ["", *reversed(loop.order)]  # "" stands for the iteration's end
        after = {name: loop.after(name) or [""] for name in loop.order}
        self.follower = _dominators(backwards, lambda name: after[name] if name else []) if ends else {}
        self.place = {name: index for index, name in enumerate(loop.order)}
        self._running, self._choosing, self._regions = {loop.header: frozenset()}, {}, {}

    def choosing(self, name, values=None):
        """Conditions that decide by which edge a block is reached from its dominator; with `values`, one for each of
        the blocks before it, those that decide which value comes."""
        before = self.loop.before(name)
        values = list(range(len(before)) if values is None else values)
        key = name, *(values.index(each) for each in values)  # which of them are the same is all that counts
        if key not in self._choosing:
            self._choosing[key] = self._deciding(name, dict(zip(before, key[1:])))
        return self._choosing[key]

    def _deciding(self, name, outcome):
        """The branches above a block whose ways do not meet again before it, and do not all bring the same."""
        found, brings = [], {}
        region = self._between(name)
        for each in region:
            ways = [brings.get(other, frozenset()) for other in self.loop.after(each) if other != name]
            here = frozenset([outcome[each]]) if each in outcome else frozenset()
            brings[each] = here.union(*ways)
            leaves = not all(ways)
            meets = self.follower.get(each)
            if (len(brings[each]) > 1 or leaves) and (meets not in region or meets == self.dominator[name]):
                found += self._condition(each)
        return list(dict.fromkeys(found))

    def _between(self, name):
        """The blocks on the ways from a block's dominator to it, the last ones first, as keys of a dictionary."""
        if name not in self._regions:
            top, work, seen = self.dominator[name], list(self.loop.before(name)), set()
            while work:
                each = work.pop()
                if each not in seen:
                    seen.add(each)
                    work += self.loop.before(each) if each != top else []
            self._regions[name] = dict.fromkeys(sorted(seen, key=lambda each: -self.place[each]))
        return self._regions[name]

    def running(self, name):
        """Conditions that decide whether a block runs: those of its dominators too that not every path leads past."""
        chain = [name]
        while chain[-1] not in self._running:
            chain.append(self.dominator[chain[-1]])
        for each in reversed(chain[:-1]):
            top = self.dominator[each]
            own = frozenset() if self._follows(each, top) else frozenset(self.choosing(each))
            self._running[each] = self._running[top] | own
        return self._running[name]

    def _follows(self, name, top):
        """Does every path from `top` lead through the block?"""
        while top and top != name:
            top = self.follower[top]
        return top == name

    def _condition(self, name):
        end = self.loop.function.blocks[name].end
        return end.operands[:1] if len(end.labels) > 1 and len(self.loop.after(name)) > 1 else []


def _dominators(order, before):
    """Block → the last one that every path to it leads through (Cooper, Harvey and Kennedy, 2001), for an order
    without cycles."""
    above, depth = {order[0]: None}, {order[0]: 0}
    for name in order[1:]:
        meet, *others = before(name)
        for other in others:
            while meet != other:
                if depth[meet] < depth[other]:
                    other = above[other]
                else:
                    meet = above[meet]
        above[name], depth[name] = meet, depth[meet] + 1
    return above
