"""The sections of the report: each a module that turns inputs into facts in words and tables."""
