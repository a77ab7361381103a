from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import exp2, kernel, log2


@kernel
def _both(x, powers, logs):
    for i in range(x.shape[0]):
        powers[i] = exp2(-x[i])
        logs[i] = log2(x[i])


def test_errors_are_those_that_the_module_states() -> None:
    x = np.exp2(np.random.default_rng(0).uniform(-20, 6.9, 10**6)).astype(np.float32)
    powers, logs = np.empty_like(x), np.empty_like(x)
    _both(x, powers, logs)
    exact = np.exp2(-x.astype(np.float64))
    assert np.abs(powers / exact - 1).max() < 2.5e-7
    assert np.abs(logs - np.log2(x.astype(np.float64))).max() < 2e-6
    near = (np.float32(1) + np.linspace(-0.2, 0.2, 10**5, dtype=np.float32)).astype(np.float32)
    logs = np.empty_like(near)
    _both(near, np.empty_like(near), logs)
    assert np.abs(logs - np.log2(near.astype(np.float64))).max() < 3e-7


def test_limits() -> None:
    x = np.array([0, 126, 127, 1000, np.inf, np.nan], np.float32)
    powers = np.empty_like(x)
    _both(x, powers, np.empty_like(x))
    assert powers[0] == 1
    assert (powers[1:5] == np.float32(2.0**-126)).all()
    assert np.isnan(powers[5])
