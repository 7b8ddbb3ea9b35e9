"""The contenders' programs: `python -m benchmarks.trainer.contenders.NAME WORKLOAD KEYS`.

TRL, transformers and peft are the versions of constraints.txt: the engine needs all three itself.
"""
