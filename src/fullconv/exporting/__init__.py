"""``export``: a network as a file for other programs, and the gate that it has to pass."""
