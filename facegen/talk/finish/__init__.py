"""The finishing network: relights drawn faces, whose shadows then move with them."""
