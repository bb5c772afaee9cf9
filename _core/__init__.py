"""Compiled arithmetic: posterior, wait, scoring, choosing. Policy and validation live above it."""
