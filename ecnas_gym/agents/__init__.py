"""The controllers, one readable file each: ``ecnas_gym.agents.ppo`` and so on.

In a checkout they lie in the folder ``agents/``, in an installation beside this file. Their names are the same.
"""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2] / "agents"
if (_CHECKOUT / "ppo.py").is_file():
    __path__.append(str(_CHECKOUT))
