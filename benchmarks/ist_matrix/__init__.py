"""The matrix of what IST works with: `python -m benchmarks.ist_matrix`, or `make ist-matrix`."""
