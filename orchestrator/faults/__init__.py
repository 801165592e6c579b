"""What holds a fault where it happened: text made printable, locks with names, folders swept."""
