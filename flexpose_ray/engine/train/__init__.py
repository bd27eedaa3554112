"""`flexpose pretrain` under Ray Train: run is the driver, launch starts workers, worker is what they run."""
