"""Unit tests of scores."""
