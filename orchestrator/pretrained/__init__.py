"""Trained weights to start from: listed, fetched, read, translated and credited."""
