"""(map to be written.)"""
