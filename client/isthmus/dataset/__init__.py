"""Data files: six row formats in JSON Lines, CSV and Parquet, checked and read.

The server checks an upload with these very modules, and `isthmus files check` does so before there is one.
They are the lowest floor: the standard library and, for Parquet, pyarrow.
"""
