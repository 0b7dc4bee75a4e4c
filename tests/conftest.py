"""For all tests."""

import signal

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("labsched", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labsched")

# A shell has what it starts with `&` ignore SIGINT, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
