"""What Ctrl-C is answered: what happens now, what a second one costs, how the run goes on."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from fullconv.training.report import Reporter
from fullconv.training.resume import go_on
from fullconv.training.run_folder import RunFolder


@dataclass
class Leaving:
    """Of one run; two of these are called from another thread than the steps'.

    Attributes:
        given: how the data was named.
        first: whether this is the first rank, which owns the folder.
        saved: the step at which the state was saved last; None: nothing is saved.
    """

    run: RunFolder
    given: str
    reporter: Reporter
    first: bool
    saved: int | None = None

    def answer(self) -> None:
        """To the first."""
        cost = "keeps nothing" if self.saved is None else f"goes back to step {self.saved}"
        self.reporter.say(f"finishing this step, then saving; Ctrl-C again stops at once and {cost}")

    def stopped(self) -> str:
        """What is left after the second."""
        if self.saved is None:
            return "stopped at once; nothing is kept of this run"
        return f"stopped at once, back at step {self.saved}; go on with: {go_on(self.run, self.given)}"

    def last_words(self) -> None:
        """Leave terminal and folder as they would be if the step had let go."""
        self.reporter.stop()
        if self.first:
            if self.saved is None:
                self.run.discard_unsaved()
            print(f"fullconv: {self.stopped()}", file=sys.stderr, flush=True)
