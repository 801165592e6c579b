"""One candidate on its way: assembly, evaluation, finalists."""
