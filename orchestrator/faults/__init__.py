"""What holds a fault where it happened: text made printable and passwords masked,
locks with names, folders swept, values held against the class they are said to be of."""
