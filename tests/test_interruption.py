"""Ending a computation, whichever thread is late and whoever closes what it left."""

import threading

import pytest

from napari_ne_denoise.core.interruption import Interrupted, check_if_wanted, interruptible, interruptibly


def counting():
    for number in range(9):
        check_if_wanted()
        yield number


def test_whatever_is_around_it_counts_too():
    outer, inner = threading.Event(), threading.Event()
    with interruptible(outer), interruptible(inner):
        check_if_wanted()
        outer.set()
        with pytest.raises(Interrupted):
            check_if_wanted()
    check_if_wanted()


def test_each_piece_is_interruptible_and_nothing_between_them():
    stop = threading.Event()
    work = interruptibly(stop, counting())
    assert [next(work), next(work)] == [0, 1]
    stop.set()
    check_if_wanted()
    with pytest.raises(Interrupted):
        next(work)
    assert list(interruptibly(threading.Event(), counting())) == list(range(9))


def test_what_was_stopped_before_it_began_does_not_begin():
    begun, stop = [], threading.Event()

    def work():
        begun.append(True)
        yield

    stop.set()
    with pytest.raises(Interrupted):
        next(interruptibly(stop, work()))
    assert not begun


def test_a_thread_that_closes_what_another_one_left_stays_interruptible():
    left, stop = interruptibly(threading.Event(), counting()), threading.Event()
    other = threading.Thread(target=next, args=(left,))
    other.start()
    other.join()
    with interruptible(stop):
        left.close()
        stop.set()
        with pytest.raises(Interrupted):
            check_if_wanted()
