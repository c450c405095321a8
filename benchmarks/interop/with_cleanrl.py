# /// script
# dependencies = ["ecnas-gym", "tensorboard", "torch", "tyro"]
# ///
"""CleanRL's ppo.py as it is: a file, not a package, so CLEANRL must name a checkout of it.

It makes its environments by ``gym.make(env_id)`` alone, and so needs the module's name in the id.
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
