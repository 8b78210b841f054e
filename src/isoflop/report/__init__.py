"""The report room: puts tables, estimates and figures into words; it never fits."""
