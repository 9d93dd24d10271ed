"""next.py and more.py in one run."""
import next  # noqa: F401
import more  # noqa: F401
