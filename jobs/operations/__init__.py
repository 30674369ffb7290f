"""Keeping the service running: processes, timetable, sweeps, backup and erasure."""
