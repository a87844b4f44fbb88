"""R60: Ctrl-C stops compiled loops and tracing at once, and leaves everything usable."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import funcgrad as fg

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals"),
]

DELAY, LONG = 0.2, 10**11  # iterations that take minutes at least


def interrupt_after(delay):
    threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()


def interrupted(call):
    """Seconds between the signal and the KeyboardInterrupt that it becomes."""
    start = time.perf_counter()
    interrupt_after(DELAY)
    with pytest.raises(KeyboardInterrupt):
        call()
    return time.perf_counter() - start - DELAY


count = fg.jit(
    lambda n: fg.lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 0.5), (0, 1.0))
)


def test_R60_compiled_while_loop():
    assert count(3)[1] == 0.125
    assert interrupted(lambda: count(LONG)) < 0.5
    assert count(3)[1] == 0.125
    assert count.trace_count() == 1


def test_R60_gradient_of_a_loop():
    power = lambda x, n: fg.lax.fori_loop(0, n, lambda i, c: c * x, 1.0)
    slope = fg.jit(fg.grad(power))
    assert slope(2.0, 3) == 12.0
    assert interrupted(lambda: slope(1.0, LONG)) < 0.5
    assert slope(2.0, 3) == 12.0


def test_R60_scan_with_a_progress_callback():
    seen = []

    def body(carry, x):
        fg.debug.callback(seen.append, carry)
        return carry + x, None

    total = fg.jit(lambda xs: fg.lax.scan(body, 0.0, xs)[0])
    assert total(np.ones(3)) == 3.0
    assert interrupted(lambda: total(np.ones(3_000_000))) < 0.5
    assert len(seen) > 3
    assert total(np.ones(3)) == 3.0


def test_R60_while_tracing():
    slow = [True]

    @fg.jit
    def fun(x):
        while slow[0]:
            x = x + 1.0
            time.sleep(0.001)
        return x * 2.0

    assert interrupted(lambda: fun(1.0)) < 0.5
    slow[0] = False
    assert fun(1.0) == 2.0
    assert fg.grad(lambda x: x * x)(3.0) == 6.0


def test_R60_second_signal():
    interrupt_after(DELAY)
    interrupt_after(DELAY + 0.1)
    with pytest.raises(KeyboardInterrupt):
        try:
            count(LONG)
        finally:
            time.sleep(1.0)
    assert count(3)[1] == 0.125
