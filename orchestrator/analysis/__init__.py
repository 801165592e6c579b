"""What is read off figures: fronts, hypervolume and picks, rank agreement, figures in words."""
