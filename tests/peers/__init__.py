"""The remote peers, as real servers on loopback: a model's endpoint, a mail server, a helpdesk."""
