"""What all work on Ray needs: a session, workers' environment, tasks, metrics, progress, signals."""
