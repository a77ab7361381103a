"""How long a sweep still takes: by whole runs, each a process that starts, has epochs, and ends."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class _Seen:
    """What was seen of a run that goes, or went, by the clock.

    Attributes:
        began: when.
        before: epochs that an earlier sweep had trained.
        rows: when each further epoch was seen to have ended.
        ended: when; None: it goes.
    """

    began: float
    before: int
    rows: list[float] = field(default_factory=list)
    ended: float | None = None

    @property
    def epochs(self) -> list[float]:
        """How long those after the first took, which began in sight."""
        return [after - row for row, after in itertools.pairwise(self.rows)]


class SweepPace:
    """The time left of a sweep, by what was seen of its runs so far.

    Args:
        epochs: of each run.
        jobs: runs at a time.
    """

    def __init__(self, epochs: Sequence[int], jobs: int) -> None:
        self.epochs, self.jobs = epochs, jobs
        self._seen: dict[int, _Seen] = {}

    def left(
        self, now: float, rows: Sequence[Sequence[float]], running: Sequence[bool], ended: Sequence[bool]
    ) -> float | None:
        """Seconds until the last run ends; None where nothing says it yet.

        Args:
            rows: the seconds of the epochs that each run has trained.
            running, ended: whether each run does, or has.
        """
        self._look(now, rows, running, ended)
        went = [one for one in self._seen.values() if one.ended is not None and one.rows]
        first = _mean([one.rows[0] - one.began for one in went])
        epoch = _mean([seconds for one in went for seconds in one.epochs])
        end = _mean([one.ended - one.rows[-1] for one in went if one.ended is not None]) or 0.0
        planned = sum(self.epochs[i] - one.before for i, one in self._seen.items() if one in went)
        share = (
            sum(len(one.rows) for one in went) / max(planned, 1) if went else 1.0
        )  # of their epochs, where they stop early
        lanes, waiting = [0.0] * self.jobs, list[int]()
        for i, seconds in enumerate(rows):
            if ended[i]:
                continue
            if i not in self._seen:
                waiting.append(i)
                continue
            seen = self._seen[i]
            own = _mean(seen.epochs) or epoch or (seconds[-1] if seen.rows else None)
            still = self._still(i, now, first, own, share)
            if still is None:
                return None
            heapq.heapreplace(lanes, max(0.0, still + end))
            first = first or seen.rows[0] - seen.began
            epoch = epoch or own
        for i in waiting:  # each begins where one has ended
            count = self.epochs[i] - len(rows[i])
            if first is None:
                return None
            whole = first + (count * share - 1) * (epoch or first) + end if count else 0.0
            heapq.heapreplace(lanes, lanes[0] + max(0.0, whole))
        return max(lanes)

    def _look(
        self, now: float, rows: Sequence[Sequence[float]], running: Sequence[bool], ended: Sequence[bool]
    ) -> None:
        for i, seconds in enumerate(rows):
            if i not in self._seen and (running[i] or ended[i]):
                self._seen[i] = _Seen(now, len(seconds))
            if i in self._seen:
                seen = self._seen[i]
                seen.rows += [now] * (len(seconds) - seen.before - len(seen.rows))
                if ended[i] and seen.ended is None:
                    seen.ended = now

    def _still(self, run: int, now: float, first: float | None, epoch: float | None, share: float) -> float | None:
        """Until a run that goes has trained its last epoch; below 0: since then."""
        seen = self._seen[run]
        count = (self.epochs[run] - seen.before) * share - len(seen.rows)
        if not seen.rows:
            return None if first is None else max(0.0, first - (now - seen.began)) + (count - 1) * (epoch or first)
        since = now - seen.rows[-1]
        if len(seen.rows) >= self.epochs[run] - seen.before:
            return -since
        return max(0.0, (epoch or 0.0) - since) + max(0.0, count - 1) * (epoch or 0.0)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
