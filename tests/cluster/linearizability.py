"""Is a history of one register linearizable? For registers whose every written value is another one.

An operation is a write or a read of a value, with the time when it was asked and the time when it was answered. `end` of None:
nobody knows what became of it. Such a write may have happened at any time after its start, also much later, or never.

The rule (P. Gibbons, E. Korach: Testing Shared Memories, 1997): put each write together with the reads of its value. Between the
first end and the last start of such a group the register certainly held that value, if the first end is earlier; else the whole
group may have happened at one moment between the last start and the first end. A history is linearizable if no value was read
before it was written, no two values were certainly held at one time, and no group of the second kind had all its moments
within the time of another value."""
import bisect
import dataclasses
import math

WRITE, READ = "write", "read"


@dataclasses.dataclass(frozen=True)
class Operation:
    kind: str
    value: object
    start: float
    end: float | None = None  # None: it is not known whether it happened
    who: object = None  # for people

    def __str__(self):
        end = "?" if self.end is None else f"{self.end:.6f}"
        return f"{self.kind} {self.value!r} [{self.start:.6f}, {end}]" + (f" by {self.who}" if self.who is not None else "")


class _Group:
    """A write and the reads of its value."""

    def __init__(self, write):
        self.write = write
        self.first_end = math.inf if write.end is None else write.end
        self.last_start = write.start
        self.ended, self.started = write, write  # the operations of these two times

    def add(self, read):
        if read.end < self.first_end:
            self.first_end, self.ended = read.end, read
        if read.start > self.last_start:
            self.last_start, self.started = read.start, read

    def holds(self):
        return self.first_end < self.last_start


def violation(history, initial=None):
    """None if the history is linearizable, else a text that says why it is not. `initial`: the value before all writes.
    ValueError: a value is written twice."""
    groups = {initial: _Group(Operation(WRITE, initial, -math.inf, -math.inf, "nobody"))}
    for op in history:
        if op.kind == WRITE:
            if op.value in groups:
                raise ValueError(f"{op}: this value was written before")
            groups[op.value] = _Group(op)
    read = set()
    for op in history:
        if op.kind != READ or op.end is None:
            continue
        group = groups.get(op.value)
        if group is None:
            return f"{op}: nobody wrote that"
        if op.end < group.write.start:
            return f"{op}: it was written later, by {group.write}"
        group.add(op)
        read.add(op.value)
    # A write of unknown outcome that nobody has seen may as well never have happened.
    counted = [g for value, g in groups.items() if g.write.end is not None or value in read]
    holding = sorted((g for g in counted if g.holds()), key=lambda g: g.first_end)
    for a, b in zip(holding, holding[1:]):
        if b.first_end < a.last_start:
            return (f"two values at one time: {a.write.value!r} by {a.ended} and {a.started}; "
                    f"{b.write.value!r} by {b.ended} and {b.started}")
    begins = [g.first_end for g in holding]
    for g in counted:
        if g.holds():
            continue
        at = bisect.bisect_left(begins, g.last_start) - 1
        if at >= 0 and g.first_end < holding[at].last_start:
            a = holding[at]
            return f"no moment is left for {g.started}: {a.write.value!r} was there by {a.ended} and {a.started}"
    return None
