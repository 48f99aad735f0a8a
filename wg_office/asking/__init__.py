"""What is asked of hosts that stand, over SSH, and of the stack; and what their answers mean."""
