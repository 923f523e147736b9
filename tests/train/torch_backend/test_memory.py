from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest
from train.support import need_backend

# Takes and frees 20 pieces of 8 MB in turn, writing to each page; how often had the system to map a page?
CHURN = """
import ctypes, resource, sys
from fer_edge_train.torch_backend.memory import keep_freed_memory
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages: a fault for each 4,096 bytes
if sys.argv[1] == "kept":
    assert keep_freed_memory()
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 8 * 2**20
def churn():
    for _ in range(20):
        pieces = [malloc(size) for _ in range(4)]
        for piece in pieces:
            ctypes.memset(piece, 1, size)
        for piece in reversed(pieces):
            free(piece)
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.host
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again_and_not_mapped_anew(tmp_path):
    need_backend("torch")

    def faults(kind: str) -> int:
        told = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", CHURN, kind]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=told)
        return int(done.stdout)

    pages = 20 * 4 * 8 * 2**20 // 4096
    # Left to itself the C library returns at least what is above its threshold at each turn.
    assert faults("returned") > pages // 10
    assert faults("kept") < pages // 1000


class Library:
    def __init__(self, **functions):
        self.__dict__.update(functions)


def test_a_c_library_without_the_options_is_left_alone(monkeypatch):
    need_backend("torch")
    from fer_edge_train.torch_backend.memory import keep_freed_memory

    def no_library(name):
        raise TypeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert not keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert not keep_freed_memory()


def test_an_option_that_is_refused_is_told_and_the_others_are_set(monkeypatch):
    need_backend("torch")
    from fer_edge_train.torch_backend.memory import keep_freed_memory

    told = []

    def mallopt(option, value):
        told.append((option, value))
        return 0 if option == -4 else 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(mallopt=mallopt))
    assert not keep_freed_memory()
    assert [option for option, _ in told] == [-4, -1, -2]
