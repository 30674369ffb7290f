"""The web process: webhooks, API and pages. They translate; what is decided stands in actions."""
