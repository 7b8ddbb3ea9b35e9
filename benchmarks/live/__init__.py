"""Live data measured: ingest and read-back beside other trackers, latency, and the API among many jobs."""
