"""Unit tests: one floor at a time, no server."""
