"""The command line: the only importer of both the service and the training side, and lazily."""
