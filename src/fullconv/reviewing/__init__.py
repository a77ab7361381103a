"""What a model says of data: which masks are probably wrong, and which images to label next."""
