"""Learning from less than masks: boxes, tags, scribbles and points as supervision (docs/less.md)."""

from fullconv.weak.annotated import Kind
from fullconv.weak.drawn import Box
from fullconv.weak.sight import Labels
from fullconv.weak.supervised import Rules, Supervised
from fullconv.weak.supervision import KINDS, Supervision, labelled_pixels, supervise

__all__ = ["KINDS", "Box", "Kind", "Labels", "Rules", "Supervised", "Supervision", "labelled_pixels", "supervise"]
