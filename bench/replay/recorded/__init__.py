"""Worlds from recorded files: arrivals, sizes or latencies that others measured; the rest is stated beside them."""
