"""Waiting for conditions: every wait has a deadline and says what it waited for."""
import os
import time

# A sanitizer build is several times slower; only deadlines stretch, never what is asserted.
FACTOR = float(os.environ.get("E2E_TIMEOUT_FACTOR", "1"))


def deadline(seconds):
    return time.monotonic() + seconds * FACTOR


def wait_until(condition, what, timeout=5.0):
    """Calls condition until it returns something true, and returns that."""
    end = deadline(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout * FACTOR:g} s in vain for {what}")
        time.sleep(0.005)
