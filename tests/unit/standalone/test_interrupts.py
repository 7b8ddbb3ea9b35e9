"""Stop signals: delivered once, never in the middle of a start."""

import os
import signal

import pytest

from standalone.interrupts import Interrupts


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts(number: signal.Signals) -> None:
    with Interrupts().installed(), pytest.raises(KeyboardInterrupt):
        send(number)


def test_a_held_signal_waits_for_the_outermost_block() -> None:
    reached: list[str] = []
    with Interrupts().installed() as interrupts, pytest.raises(KeyboardInterrupt):
        with interrupts.hold():
            with interrupts.hold():
                send(signal.SIGINT)
                reached.append("inner")
            reached.append("outer")
        reached.append("never")
    assert reached == ["inner", "outer"]


def test_signals_are_dropped_once_the_stop_has_begun() -> None:
    with Interrupts().installed() as interrupts:
        interrupts.ignore()
        send(signal.SIGINT)
        with interrupts.hold():
            send(signal.SIGTERM)


def test_earlier_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().installed():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
