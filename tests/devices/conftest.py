"""The arm64 root that the emulation tests share."""

import pytest
from aarch64 import MissingToolError, default_root, is_built, qemu_path


@pytest.fixture(scope="session")
def arm64_root():
    try:
        qemu_path()
    except MissingToolError as error:
        pytest.skip(str(error))
    root = default_root()
    if not is_built(root):
        pytest.skip(f"no arm64 root at {root}; build one with: python devices/emulate/build_root.py")
    return root
