"""Pixels and label maps as files: read, with every way that a file can be wrong."""
