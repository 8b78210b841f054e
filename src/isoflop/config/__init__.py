"""What config.yaml and the side-car files may hold: one module per room.

Every model is frozen and refuses unknown keys. A room imports its own module only, so that an edit
of its settings reruns that room and what follows it.
"""
