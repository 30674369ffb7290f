"""What people, tokens, commands and jobs may do: one function each, audited, free of Flask."""
