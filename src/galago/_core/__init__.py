"""What every part of galago stands on: reading text that strangers wrote, and showing it safely."""
