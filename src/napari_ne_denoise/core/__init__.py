"""Everything that computes; knows neither Qt nor napari."""

import os

# torch's memory on Linux comes in large pages then: the system's zeroing of small ones takes as long as a third of the computation.  torch
# looks at this when it first makes a tensor; who has set it to 0 keeps small pages.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
