"""An app of the site: papers with a file each."""
