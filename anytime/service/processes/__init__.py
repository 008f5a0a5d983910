"""Several processes on one port: a supervisor, which hands connections out, and whole services behind it."""
