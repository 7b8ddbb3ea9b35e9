"""Measurements that check what the documentation claims."""
