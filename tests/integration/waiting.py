"""A test waits for a state, never for a time."""

import time


def until(found, seconds=60.0, told=lambda: ""):
    """What ``found()`` returns as soon as that is true; ``told()`` says more when it never is."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain {told()}"
        time.sleep(0.2)
    return value
