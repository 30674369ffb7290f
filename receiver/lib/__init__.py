"""What knows nothing of tickets or of the database: settings, time, files, outgoing HTTP, formats."""
