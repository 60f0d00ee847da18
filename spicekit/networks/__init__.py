"""Binary networks, their data and training, and the checkpoints that ship."""
