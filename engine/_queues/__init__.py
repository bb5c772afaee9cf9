"""The compiled half of the queues: jobs, their places and what becomes of them. `tailwise.dispatch` is its face."""
