"""What makes Vivace at home in other people's frameworks; each package is imported by who uses it only."""
