"""A server: what other programs and people ask of a model over HTTP."""
