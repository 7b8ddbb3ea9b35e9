"""The truth about files, jobs, events, step records and models: tables, transitions, objects, live bus."""
