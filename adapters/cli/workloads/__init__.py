"""The embedded workloads: real models over real inputs, with nothing to download."""
