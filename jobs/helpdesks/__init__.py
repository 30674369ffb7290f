"""What goes out to helpdesks: completing thin tickets, writing classifications back, asking for what was missed."""
