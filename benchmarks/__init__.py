"""Every number that the README prints: scripts that measure, `results/*.json`, and the tables generated from them."""
