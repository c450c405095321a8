# /// script
# dependencies = ["ecnas-gym", "skrl[torch]", "torch"]
# ///
"""PPO of skrl on the native vector environment, without masks."""
