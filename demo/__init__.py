"""Shows the whole way of a ticket on the embedded defaults: python -m demo."""
