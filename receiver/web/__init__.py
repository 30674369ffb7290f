"""The web process: webhooks, API and pages. They translate; actions decide."""
