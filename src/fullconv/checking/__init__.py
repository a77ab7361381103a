"""What ``fullconv check`` does: open, read, judge, fix, show. :func:`fullconv.check` is the door."""
