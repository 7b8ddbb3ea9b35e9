"""Unit tests of the chat engine."""
