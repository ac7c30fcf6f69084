"""The alarm rings whatever Python is doing."""

import time

import pytest

from glscert.verifier.alarm import alarm
from glscert.verifier.deadline import OutOfTime


class _Slow:
    def __del__(self):
        busy(0.2)


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def dropped():
    del [_Slow()][0]
    busy(5)


@pytest.mark.parametrize("work", (lambda: busy(5), dropped))
def test_it_rings_once_the_time_is_over(work):
    began = time.monotonic()
    with pytest.raises(OutOfTime), alarm(0.1):
        work()
    assert time.monotonic() - began < 4


def test_it_is_silent_before():
    with alarm(0.05):
        pass
    busy(0.1)


def test_a_time_without_end_is_no_error():
    with alarm(1e300):
        pass
