"""Tests of every floor; the folders mirror the source."""
