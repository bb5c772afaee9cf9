"""The compiled half of the queues: jobs, their places and what becomes of them. Its faces are `tailwise.dispatch`,
`tailwise.job`, `tailwise.queue` and `tailwise.timers`."""
