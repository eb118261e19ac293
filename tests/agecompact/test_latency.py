import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.latency import paired_ratio, summarise

_TIMES_MS = st.floats(1e-3, 1e3)


def test_percentiles_of_known_samples():
    told = summarise([float(n) for n in range(1, 102)])
    assert (told.p50, told.p90, told.min, told.max, told.mean) == (51, 91, 1, 101, 51)
    assert told.samples[0] == 1


@given(st.lists(_TIMES_MS, min_size=1))
def test_statistics_are_ordered(samples_ms):
    told = summarise(samples_ms)
    assert told.min <= told.p50 <= told.p90 <= told.max


@given(
    slowdowns=st.lists(st.floats(0.1, 10), min_size=2, max_size=20),
    mine=_TIMES_MS,
    theirs=_TIMES_MS,
)
def test_a_machine_that_slows_down_between_rounds_leaves_the_ratio_alone(slowdowns, mine, theirs):
    ratio = paired_ratio([[mine * s] for s in slowdowns], [[theirs * s] for s in slowdowns])
    assert ratio.median == pytest.approx(mine / theirs)
    assert ratio.p10 == pytest.approx(ratio.p90)


def test_rounds_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired_ratio([[1.0]], [[1.0], [1.0]])
