"""`flexpose translate` as a cluster job: `python jobs/translate.py --help`; see README.md beside this file."""

from flexpose_ray.cli.job import run_job

if __name__ == "__main__":
    run_job(__file__)
