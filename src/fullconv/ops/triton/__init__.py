"""The GPU's kernels, in Triton. They also run on a processor under ``TRITON_INTERPRET=1``: slow, for tests."""
