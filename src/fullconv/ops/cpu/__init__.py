"""The processor's kernels, compiled by numba: one pass over a strip that stays in the cache, on every core."""
