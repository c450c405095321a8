"""Controllers, one readable file each; run as ``python agents/ppo.py`` or ``python -m agents.ppo`` from a checkout."""
