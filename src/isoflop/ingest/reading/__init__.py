"""From bytes to blocks of records: files, archives, databases, cells, lines, and settings."""
