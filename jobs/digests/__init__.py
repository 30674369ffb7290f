"""Building, mailing and resending digests."""
