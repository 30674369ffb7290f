"""From the bytes of a webhook to tickets: signatures, the sources and their mapping, validation."""
