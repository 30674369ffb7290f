"""The digests that are configured: when each goes out, to whom, and what is in it."""
