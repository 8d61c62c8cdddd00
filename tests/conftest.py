"""Tests keep compiled kernels apart from the user's own."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_directory(tmp_path_factory):
    """An empty cache directory, for all tests of a session."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACEGRAD_CACHE_DIR", str(directory))
        yield directory
