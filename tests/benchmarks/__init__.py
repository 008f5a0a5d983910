"""Tests of what is generated from results."""
