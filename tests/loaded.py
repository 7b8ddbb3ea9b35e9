"""What an import brings along, seen in a process of its own."""

import subprocess
import sys


def engine_loaded_by(module: str) -> str:
    """Which of the engine's libraries are loaded once `module` is, as a list in words: `[]` is none."""
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()
