"""Settings shared by all tests."""

import os

from hypothesis import HealthCheck, settings

# Deadlines measure the machine, not the code; EDGE_HYPOTHESIS=deep is for nightly runs.
settings.register_profile("fast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20_000)
settings.load_profile(os.environ.get("EDGE_HYPOTHESIS", "fast"))
