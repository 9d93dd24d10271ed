"""A segment that is attached while the run is saved."""
from shm import *

address = attach(get(0x66, 4096))
tell("attached")
wait_for("saved-attached")
