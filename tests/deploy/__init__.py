"""Tests of what puts the service into place: the image, the compose file, Prometheus and nginx."""
