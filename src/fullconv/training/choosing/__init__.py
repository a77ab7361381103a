"""What a run is made of where its options do not say: chosen from the data and the machine, each with its reason."""

from fullconv.training.choosing.budget import choose
from fullconv.training.choosing.limits import with_budget, within_time

__all__ = ["choose", "with_budget", "within_time"]
