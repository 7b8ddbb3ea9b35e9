"""Unit tests of sparse tuning."""
