"""What the columns and rows of a table mean, where nobody has said so."""
