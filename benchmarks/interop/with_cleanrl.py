# /// script
# dependencies = ["ecnas-gym", "tensorboard", "torch", "tyro"]
# [tool.interop]
# client = "CleanRL"
# version = "2.0.0b1, commit fe8d8a0"
# ///
"""Its ppo.py, unmodified: `--env-id ecnas_gym:ECNAS-7V-v0`. It ignores masks, so its reward stays at −1 for
long.

It was written for Gymnasium 0.29. Under later versions it trains, but prints no returns in any environment. It is
a file, not a package: the variable CLEANRL names a checkout.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

if "CLEANRL" not in os.environ:
    sys.exit("CLEANRL must name a checkout of CleanRL: its scripts are on no package index")
script = Path(os.environ["CLEANRL"], "cleanrl", "ppo.py").resolve()
arguments = ["--env-id", "ecnas_gym:ECNAS-7V-v0", "--total-timesteps", "2080", "--num-steps", "130", "--no-cuda"]
with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run([sys.executable, script, *arguments], cwd=folder, capture_output=True, text=True, check=False)
if done.returncode:
    sys.exit(done.stderr)
print(f"ppo.py: {done.stdout.count('SPS:')} updates of 520 steps")
