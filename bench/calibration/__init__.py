"""Would a map of where results fell in their forecasts help? `python -m bench.calibration PATH`, bench/README.md."""
