"""The dashboard over an engine under load, and its screenshot."""
