"""What `import patter_nb` costs: python bench/import_time.py

Starts interpreters by turns, bare and with the import, and prints the median of the differences between neighbours, so that what
else the machine does falls on both alike. Then the same for what a first agent needs, and what was loaded on the way.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 25
TARGET_MS = 150.0
STATEMENTS = {"import patter_nb": TARGET_MS, "from patter_nb import Patter, WavTransport, tool": None}
UNWANTED = {"IPython", "ipywidgets", "onnxruntime", "pydantic", "openai", "anthropic", "groq", "google.genai", "xllamacpp", "piper"}


def run_ms(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    for statement in ("pass", *STATEMENTS):
        run_ms(statement)  # fills the caches of bytecode and of files
    for statement, target in STATEMENTS.items():
        pairs = [(run_ms("pass"), run_ms(statement)) for _ in range(RUNS)]
        bare, extra = median(bare for bare, _ in pairs), median(full - bare for bare, full in pairs)
        code = f"import sys; {statement}; print(*sorted({UNWANTED} & sys.modules.keys()) or ['nothing'])"
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout.strip()
        promise = f" (target: at most {target:.0f} ms)" if target is not None else ""
        print(f"{statement}: {extra:.0f} ms above a bare interpreter's {bare:.0f} ms, median of {RUNS}{promise}")
        print(f"  heavy packages loaded: {loaded}")


if __name__ == "__main__":
    main()
