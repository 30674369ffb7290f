"""Attributing tickets: claiming, engines, decisions, learning."""
