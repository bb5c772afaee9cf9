"""Continuous batching, simulated: replicas of three speeds behind tailwise, and behind the routers of the
field."""
