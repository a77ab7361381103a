"""The verbs of the command line, by subject; importing these modules registers them."""
