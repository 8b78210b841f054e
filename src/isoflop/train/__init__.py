"""The room that trains: plan a sweep, train its runs, rebuild its corpus.

Only training needs torch (the extra `train`).
"""
