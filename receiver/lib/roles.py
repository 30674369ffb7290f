"""What a person may be."""

VIEWER, REVIEWER, OPERATOR, ADMIN = ROLES = ("viewer", "reviewer", "operator", "admin")
"""The least first; each may do what those before it may."""
