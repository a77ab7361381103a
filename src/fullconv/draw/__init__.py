"""Arrays -> pictures."""

from fullconv.draw.confusion import confusion_picture
from fullconv.draw.curves import IOU, VAL_LOSS, curves, curves_figure
from fullconv.draw.heat import heat_maps, heat_overlay
from fullconv.draw.overlays import OPACITY, Picture, as_rgb, colorize, overlay, overlay_strips
from fullconv.draw.sheets import Row, contact_sheet

__all__ = [
    "IOU",
    "OPACITY",
    "VAL_LOSS",
    "Picture",
    "Row",
    "as_rgb",
    "colorize",
    "confusion_picture",
    "contact_sheet",
    "curves",
    "curves_figure",
    "heat_maps",
    "heat_overlay",
    "overlay",
    "overlay_strips",
]
