"""Learning from less than masks: boxes, tags, scribbles and points as supervision (docs/less.md)."""

from fullconv.weak.supervision import KINDS, Box, Kind, Labels, Rules, Supervised, Supervision, supervise

__all__ = ["KINDS", "Box", "Kind", "Labels", "Rules", "Supervised", "Supervision", "supervise"]
