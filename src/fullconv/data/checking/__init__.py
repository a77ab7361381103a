"""What ``fullconv check`` does: open, read, judge, mend, show. :func:`fullconv.data.check` is the door."""
