"""What HTTP knows: a module per resource. Nothing below the routes does."""
