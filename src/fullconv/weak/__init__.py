"""Learning from less than masks: boxes, tags, scribbles and points as supervision (docs/less.md)."""

from fullconv.weak.supervision import Box, Kind, Labels, Rules, Supervised, Supervision, supervise

__all__ = ["Box", "Kind", "Labels", "Rules", "Supervised", "Supervision", "supervise"]
