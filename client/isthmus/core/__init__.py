"""What the two clients share, without I/O: requests, retries, pages, streams, downloads.

An operation is a generator that yields effects (send this, wait so long) and is told their outcomes. It runs
the same under `isthmus.sync_driver` and `isthmus.async_driver`, which alone touch the network and the clock.
"""
