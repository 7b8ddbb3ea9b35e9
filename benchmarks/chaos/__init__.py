"""Random `kill -9` of a running service's parts, over real jobs: what is lost, and what comes of the jobs."""
