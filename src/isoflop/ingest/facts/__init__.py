"""What is known of a run, and from where: facts, and the rules of sweep.yaml."""
