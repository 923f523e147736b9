"""What `fer-edge doctor` looks at, a file for each subject, and what it makes of it."""
