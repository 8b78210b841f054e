"""The losses room: from curves to the points that are fitted.

`build` selects and records what is left out; `smoothing` turns a noisy training loss into a curve.
"""
