import math

from hypothesis import given
from hypothesis import strategies as st

from fullconv.html.charts import ticks


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=5))
def test_ticks_are_round_even_and_reach_every_value(values: list[float]) -> None:
    found = ticks(values)
    step = found[1]
    digits = round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6)
    assert digits in (1, 2, 5)
    assert found == [float(f"{step * place:.6g}") for place in range(len(found))]
    assert 3 <= len(found) <= 7
    assert found[-2] * (1 - 1e-6) < max(values) <= found[-1] * 1.001 or len(found) == 3


def test_ticks_of_nothing_go_to_one() -> None:
    assert ticks([]) == ticks([0.0]) == [0, 0.2, 0.4, 0.6, 0.8, 1]
