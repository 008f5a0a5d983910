"""What recorded traces say about a bundle: sweeps over thresholds, reports, tables and plots. No torch, no network."""
