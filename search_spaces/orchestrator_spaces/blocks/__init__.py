"""The vocabulary that families share: layers, and the questions a space asks."""
