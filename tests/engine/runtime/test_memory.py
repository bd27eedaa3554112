"""Freed memory stays with the process: asked for again, it comes without page faults."""

import resource
import subprocess
import sys

import pytest

COUNT = """
import resource
from flexpose_ray.engine.runtime.memory import keep_memory
{call}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_a_block_asked_for_again_comes_without_page_faults():
    def second(call: str) -> int:
        found = subprocess.run([sys.executable, "-c", COUNT.format(call=call)], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        return int(found.stdout)

    pages = (64 << 20) // resource.getpagesize()
    assert second("keep_memory()") < pages / 10 < second("")
