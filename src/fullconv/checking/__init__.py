"""What ``fullconv check`` does: open, read, judge, mend, show. :func:`fullconv.check` is the door."""
