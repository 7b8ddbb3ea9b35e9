"""Programs that use other trackers as their pages say; they run in the peers' environment, not in ours."""
