"""Anytime: an inference server for networks that answer early and keep refining."""
