"""Long scenarios in which everything is killed, filled and cut off: python -m chaos."""
