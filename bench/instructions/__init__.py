"""Instructions per call. The format is named here, since whoever compares needs nothing else of it."""

FORMAT, VERSION = "tailwise bench.instructions", 1
