"""The main job, step by step, on real input: `python -m examples.demo`, or `make demo`."""
