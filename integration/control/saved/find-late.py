"""The same when an orphan would have been removed."""
import time

time.sleep(4)
import find  # noqa: F401,E402
