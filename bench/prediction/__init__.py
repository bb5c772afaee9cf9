"""How well times are foretold: one step ahead, on logs of single requests, against models retrained on a window."""
