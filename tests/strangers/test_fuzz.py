"""A few changed files in every suite, always the same; `python -m tests.strangers.fuzz MINUTES` tries many."""

import warnings

import pytest

from tests.strangers.fuzz import BYTES, RECORDS, fuzz

EXAMPLES = 40


@pytest.mark.parametrize("name", [*BYTES, *RECORDS])
def test_nothing_but_our_own_errors_comes_of_changed_files(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about what is read
        fuzz(name, EXAMPLES)
