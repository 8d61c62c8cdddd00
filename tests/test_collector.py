"""Compiling leaves Python's collector of cycles as it was."""

import gc
from threading import Barrier, Thread

import pytest

from tracegrad import grad
from tracegrad.collector import YOUNG, seldom_collecting


@pytest.fixture(autouse=True)
def restored():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_first_call_leaves_the_settings():
    gc.set_threshold(701, 11, 12)
    grad(lambda x: x * x)(3.0)
    assert gc.get_threshold() == (701, 11, 12)


def test_a_refusal_leaves_the_settings():
    gc.set_threshold(701, 11, 12)
    with pytest.raises(ZeroDivisionError), seldom_collecting():
        raise ZeroDivisionError
    assert gc.get_threshold() == (701, 11, 12)


@pytest.mark.parametrize("user", [0, 2 * YOUNG])
def test_a_collector_that_is_off_or_slower_stays_so(user):
    gc.set_threshold(user, 10, 10)
    with seldom_collecting():
        assert gc.get_threshold() == (user, 10, 10)


def test_the_last_of_several_threads_restores():
    gc.set_threshold(701, 11, 12)
    entered, left = Barrier(2), Barrier(2)

    def other():
        with seldom_collecting():
            entered.wait()
            left.wait()

    thread = Thread(target=other)
    with seldom_collecting():
        thread.start()
        entered.wait()
    assert gc.get_threshold() == (YOUNG, 11, 12)
    left.wait()
    thread.join()
    assert gc.get_threshold() == (701, 11, 12)
