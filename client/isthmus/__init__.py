"""Isthmus: fine-tune models on your own machines."""
